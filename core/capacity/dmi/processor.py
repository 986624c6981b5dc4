"""Processors (type 4)."""

from collections.abc import Iterator, Sequence

from core.capacity.dmi import words
from core.capacity.dmi.table import Structure, Version

Properties = Iterator[tuple[str, str | Sequence[str]]]
FAMILY_ELSEWHERE = 0xFE
NO_HANDLE = 0xFFFF
CACHES = (("L1", 0x1A), ("L2", 0x1C), ("L3", 0x1E))
COUNTS = (("Core Count", 0x23, 0x2A), ("Core Enabled", 0x24, 0x2C), ("Thread Count", 0x25, 0x2E))


def read_processor(found: Structure) -> Properties:
    """Yield what a processor says of itself.

    Its features are left out, and its socket: the bytes of the id have the first, and nobody asks.
    """
    if found.length < 0x1A:
        return
    yield "Socket Designation", found.text(0x04)
    yield "Type", words.word(words.PROCESSOR, found.number(0x05))
    yield "Family", words.FAMILIES.get(family_of(found), words.OUT_OF_SPEC)
    yield "Manufacturer", found.text(0x07)
    yield "ID", found.data[0x08:0x10].hex(" ").upper()
    yield "Version", found.text(0x10)
    yield "Voltage", voltage(found.number(0x11))
    for name, at in (("External Clock", 0x12), ("Max Speed", 0x14), ("Current Speed", 0x16)):
        yield name, frequency(found.number(at, 2))
    yield "Status", status(found.number(0x18))
    if found.length >= 0x20:
        for name, at in CACHES:
            yield f"{name} Cache Handle", cache_handle(name, found.number(at, 2), found.version)
    if found.length >= 0x23:
        for name, at in (("Serial Number", 0x20), ("Asset Tag", 0x21), ("Part Number", 0x22)):
            yield name, found.text(at)
    if found.length >= 0x28:
        yield from counts(found)


def family_of(found: Structure) -> int:
    """Return the number of the family; newer ones do not fit into one byte."""
    number = found.number(0x06)
    if number == FAMILY_ELSEWHERE and found.length >= 0x2A:
        return found.number(0x28, 2)
    return number


def voltage(number: int) -> str:
    """Return the voltage: tenths of a volt, or a set of voltages."""
    if number & 0x80:
        return f"{(number & 0x7F) / 10:.1f} V"
    return " ".join(words.bits(words.VOLTAGES, number)) or "Unknown"


def frequency(number: int) -> str:
    """Return a frequency."""
    return f"{number} MHz" if number else "Unknown"


def status(number: int) -> str:
    """Return whether there is a processor in the socket, and what it does."""
    if not number & 0x40:
        return "Unpopulated"
    states = dict(enumerate(words.PROCESSOR_STATUS)) | {7: "Other"}
    return f"Populated, {states.get(number & 0x07, words.OUT_OF_SPEC)}"


def cache_handle(name: str, handle: int, version: Version) -> str:
    """Return the handle of a cache's structure; older versions know only of caches that are."""
    if handle != NO_HANDLE:
        return f"0x{handle:04X}"
    return "Not Provided" if version >= (2, 3) else f"No {name} Cache"


def counts(found: Structure) -> Properties:
    """Yield the numbers of cores and threads; 255 says that a wider field has it."""
    for name, at, wide_at in COUNTS:
        number = found.number(at)
        if number == 0xFF and found.length >= 0x30:
            number = found.number(wide_at, 2)
        if number:
            yield name, str(number)
    features = words.bits(words.PROCESSOR_FEATURES, found.number(0x26, 2), 2)
    yield "Characteristics", features or "None"
