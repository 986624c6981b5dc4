"""Memory: arrays (type 16), modules (type 17), addresses (type 19)."""

from collections.abc import Iterator, Sequence

from core.capacity.dmi import words
from core.capacity.dmi.sizes import binary_size
from core.capacity.dmi.table import Structure

Properties = Iterator[tuple[str, str | Sequence[str]]]
NOT_PROVIDED, NO_ERROR = 0xFFFE, 0xFFFF
WIDE_KB = 0x80000000
WIDE_MB = 0x7FFF
UNKNOWN_2 = 0xFFFF
UNKNOWN_4 = 0xFFFFFFFF
UNKNOWN_8 = 0xFFFFFFFFFFFFFFFF
SIZES = (("Non-Volatile", 0x34), ("Volatile", 0x3C), ("Cache", 0x44), ("Logical", 0x4C))


def read_array(found: Structure) -> Properties:
    """Yield what type 16 says."""
    if found.length < 0x0F:
        return
    yield "Location", array_place(found.number(0x04))
    yield "Use", words.word(words.ARRAY_USE, found.number(0x05))
    yield "Error Correction Type", words.word(words.ARRAY_CORRECTION, found.number(0x06))
    yield "Maximum Capacity", maximum(found)
    yield "Error Information Handle", error_handle(found.number(0x0B, 2))
    yield "Number Of Devices", str(found.number(0x0D, 2))


def array_place(number: int) -> str:
    """Return where an array is."""
    more = {0xA0: "C20", 0xA1: "C24", 0xA2: "E", 0xA3: "Local Bus"}
    if number in more:
        return f"PC-98/{more[number]} Add-on Card"
    return "CXL Flexbus 1.0" if number == 0xA4 else words.word(words.ARRAY_PLACE, number)


def maximum(found: Structure) -> str:
    """Return how much an array can have."""
    kb = found.number(0x07, 4)
    if kb != WIDE_KB:
        return binary_size(kb, "kB")
    return binary_size(found.number(0x0F, 8)) if found.length >= 0x17 else "Unknown"


def error_handle(handle: int) -> str:
    """Return the handle of a structure about errors."""
    known = {NOT_PROVIDED: "Not Provided", NO_ERROR: "No Error"}
    return known.get(handle, f"0x{handle:04X}")


def read_device(found: Structure) -> Properties:
    """Yield what type 17 says."""
    if found.length < 0x15:
        return
    yield "Array Handle", f"0x{found.number(0x04, 2):04X}"
    yield "Error Information Handle", error_handle(found.number(0x06, 2))
    for name, at in (("Total Width", 0x08), ("Data Width", 0x0A)):
        width = found.number(at, 2)
        yield name, "Unknown" if width in (0, UNKNOWN_2) else f"{width} bits"
    yield "Size", device_size(found)
    yield "Form Factor", words.word(words.MEMORY_FORM, found.number(0x0E))
    yield "Set", device_set(found.number(0x0F))
    yield "Locator", found.text(0x10)
    yield "Bank Locator", found.text(0x11)
    yield "Type", words.word(words.MEMORY, found.number(0x12))
    yield (
        "Type Detail",
        " ".join(words.bits(words.MEMORY_DETAIL, found.number(0x13, 2), 1)) or "None",
    )
    yield from newer(found)


def newer(found: Structure) -> Properties:
    """Yield what later versions added."""
    if found.length >= 0x17:
        yield "Speed", speed(found, 0x15, 0x54)
    if found.length >= 0x1B:
        names = ("Manufacturer", "Serial Number", "Asset Tag", "Part Number")
        for at, name in enumerate(names, 0x17):
            yield name, found.text(at)
    if found.length >= 0x1C:
        rank = found.number(0x1B) & 0x0F
        yield "Rank", str(rank) if rank else "Unknown"
    if found.length >= 0x22:
        yield "Configured Memory Speed", speed(found, 0x20, 0x58)
    if found.length >= 0x28:
        for name, at in (("Minimum", 0x22), ("Maximum", 0x24), ("Configured", 0x26)):
            yield f"{name} Voltage", volts(found.number(at, 2))
    if found.length >= 0x34:
        yield from controller(found)
    for name, at in SIZES:
        if found.length >= at + 8:
            yield f"{name} Size", part_size(found.number(at, 8))


def controller(found: Structure) -> Properties:
    """Yield what version 3.2 added."""
    yield "Memory Technology", words.word(words.MEMORY_TECHNOLOGY, found.number(0x28))
    modes = words.bits(words.MEMORY_MODES, found.number(0x29, 2), 1)
    yield "Memory Operating Mode Capability", " ".join(modes) or "None"
    yield "Firmware Version", found.text(0x2B)
    for name, at in (("Module", 0x2C), ("Memory Subsystem Controller", 0x30)):
        maker, product = found.number(at, 2), found.number(at + 2, 2)
        bank = f"Bank {(maker & 0x7F) + 1}, Hex 0x{maker >> 8:02X}"
        yield f"{name} Manufacturer ID", bank if maker else "Unknown"
        yield f"{name} Product ID", f"0x{product:04X}" if product else "Unknown"


def part_size(number: int) -> str:
    """Return the size of a part of a module."""
    return {0: "None", UNKNOWN_8: "Unknown"}.get(number) or binary_size(number)


def device_size(found: Structure) -> str:
    """Return a module's size."""
    number = found.number(0x0C, 2)
    if number == 0:
        return "No Module Installed"
    if number == UNKNOWN_2:
        return "Unknown"
    if number == WIDE_MB and found.length >= 0x20:
        return binary_size(found.number(0x1C, 4) & 0x7FFFFFFF, "MB")
    return binary_size(number & 0x7FFF, "kB" if number & 0x8000 else "MB")


def device_set(number: int) -> str:
    """Return the number of a set of modules."""
    return {0: "None", 0xFF: "Unknown"}.get(number, str(number))


def speed(found: Structure, at: int, wide_at: int) -> str:
    """Return a speed in millions of transfers per second."""
    number = found.number(at, 2)
    if number == UNKNOWN_2:
        number = found.number(wide_at, 4) & 0x7FFFFFFF if found.length >= wide_at + 4 else 0
    return f"{number} MT/s" if number else "Unknown"


def volts(millivolts: int) -> str:
    """Return a voltage."""
    if millivolts == 0:
        return "Unknown"
    return f"{millivolts / 1000:g} V" if millivolts % 100 else f"{millivolts / 1000:.1f} V"


def read_mapping(found: Structure) -> Properties:
    """Yield what type 19 says."""
    if found.length < 0x0F:
        return
    first, last = found.number(0x04, 4), found.number(0x08, 4)
    if found.length >= 0x1F and first == UNKNOWN_4:
        first, last = found.number(0x0F, 8), found.number(0x17, 8)
        start, end, size = f"0x{first:016X}", f"0x{last:016X}", binary_size(last - first + 1)
    else:
        start, end = f"0x{first << 10:011X}", f"0x{(last << 10) + 0x3FF:011X}"
        size = binary_size(last - first + 1, "kB")
    yield "Starting Address", start
    yield "Ending Address", end
    yield "Range Size", "Invalid" if last < first else size
    yield "Physical Array Handle", f"0x{found.number(0x0C, 2):04X}"
    yield "Partition Width", str(found.number(0x0E))
