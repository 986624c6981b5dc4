"""What structures say, in the words of `dmidecode`. No I/O.

One function for each type yields names with values. A structure of an older version is shorter: it
has only the properties that fit into it. Types that nobody asks for are shown as bytes and strings.
"""

from collections.abc import Callable, Iterator, Sequence

from core.capacity.dmi import memory, processor, words
from core.capacity.dmi.names import title_of
from core.capacity.dmi.sizes import binary_size
from core.capacity.dmi.table import Structure

Value = str | Sequence[str]
Properties = Iterator[tuple[str, Value]]
ROW_BYTES = 16
LITTLE_ENDIAN_FROM = (2, 6)  # the version since which a UUID's first three parts are numbers


def describe(structure: Structure) -> tuple[str, dict[str, Value]]:
    """Return a structure's title and its properties in order."""
    read = READERS.get(structure.kind, read_bytes)
    return title_of(structure.kind), dict(read(structure))


def read_bytes(found: Structure) -> Properties:
    """Yield a structure of an unknown form."""
    rows = range(0, found.length, ROW_BYTES)
    yield "Header and Data", [found.data[at : at + ROW_BYTES].hex(" ").upper() for at in rows]
    if found.strings:
        yield "Strings", list(found.strings)


def read_nothing(_: Structure) -> Properties:
    """Yield nothing: the title says it all."""
    yield from ()


def read_firmware(found: Structure) -> Properties:
    """Yield what type 0 says."""
    if found.length < 0x12:
        return
    yield "Vendor", found.text(0x04)
    yield "Version", found.text(0x05)
    yield "Release Date", found.text(0x08)
    if segment := found.number(0x06, 2):
        yield "Address", f"0x{segment:04X}0"
        yield "Runtime Size", runtime_size((0x10000 - segment) << 4)
    yield "ROM Size", rom_size(found)
    yield "Characteristics", firmware_features(found)
    if found.length >= 0x18:
        for name, at in (("BIOS Revision", 0x14), ("Firmware Revision", 0x16)):
            if found.data[at : at + 2] != b"\xff\xff" and 0xFF not in found.data[at : at + 2]:
                yield name, f"{found.number(at)}.{found.number(at + 1)}"


def runtime_size(size_bytes: int) -> str:
    """Return the size of the firmware's part of the first megabyte."""
    return f"{size_bytes} bytes" if size_bytes & 0x3FF else f"{size_bytes >> 10} kB"


def rom_size(found: Structure) -> str:
    """Return the size of the firmware's chip."""
    blocks = found.number(0x09)
    if blocks != 0xFF:
        return binary_size((blocks + 1) << 16)
    extended = found.number(0x18, 2) if found.length >= 0x1A else 16
    unit = ("MB", "GB", words.OUT_OF_SPEC, words.OUT_OF_SPEC)[extended >> 14]
    return f"{extended & 0x3FFF} {unit}"


def firmware_features(found: Structure) -> list[str]:
    """Return what the firmware can do."""
    mask = found.number(0x0A, 8)
    if mask >> 3 & 1:
        features = ["BIOS characteristics not supported"]
    else:
        features = words.bits(words.FIRMWARE, mask, 4)
    features += words.bits(words.FIRMWARE_1, found.number(0x12)) if found.length >= 0x13 else []
    features += words.bits(words.FIRMWARE_2, found.number(0x13)) if found.length >= 0x14 else []
    return features


def read_system(found: Structure) -> Properties:
    """Yield what type 1 says."""
    if found.length < 0x08:
        return
    yield "Manufacturer", found.text(0x04)
    yield "Product Name", found.text(0x05)
    yield "Version", found.text(0x06)
    yield "Serial Number", found.text(0x07)
    if found.length >= 0x19:
        yield "UUID", uuid_text(found.data[0x08:0x18], found.version >= LITTLE_ENDIAN_FROM)
        yield "Wake-up Type", wake_up(found.number(0x18))
    if found.length >= 0x1B:
        yield "SKU Number", found.text(0x19)
        yield "Family", found.text(0x1A)


def wake_up(number: int) -> str:
    """Return what woke the machine; 0 is a reserved word of its own."""
    return "Reserved" if number == 0 else words.word(words.WAKE_UP, number)


def uuid_text(data: bytes, is_little: bool) -> str:
    """Return a UUID as text."""
    if data in (b"\0" * 16, b"\xff" * 16):
        return "Not Settable" if data[0] == 0 else "Not Present"
    if is_little:
        data = data[3::-1] + data[5:3:-1] + data[7:5:-1] + data[8:]
    digits = data.hex()
    return "-".join(digits[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


def read_board(found: Structure) -> Properties:
    """Yield what type 2 says."""
    if found.length < 0x08:
        return
    yield "Manufacturer", found.text(0x04)
    yield "Product Name", found.text(0x05)
    yield "Version", found.text(0x06)
    yield "Serial Number", found.text(0x07)
    if found.length >= 0x09:
        yield "Asset Tag", found.text(0x08)
    if found.length >= 0x0A:
        features = words.bits(words.BOARD_FEATURES, found.number(0x09))
        yield "Features", features or "None"
    if found.length >= 0x0E:
        yield "Location In Chassis", found.text(0x0A)
        yield "Chassis Handle", f"0x{found.number(0x0B, 2):04X}"
        yield "Type", words.word(words.BOARD, found.number(0x0D))
    if found.length >= 0x0F:
        yield from board_contents(found)


def board_contents(found: Structure) -> Properties:
    """Yield the handles of what is on a board."""
    count = found.number(0x0E)
    if count and found.length >= 0x0F + 2 * count:
        handles = [f"0x{found.number(0x0F + 2 * place, 2):04X}" for place in range(count)]
        yield "Contained Object Handles", handles
    elif not count:
        yield "Contained Object Handles", "0"


def read_chassis(found: Structure) -> Properties:
    """Yield what type 3 says."""
    if found.length < 0x09:
        return
    yield "Manufacturer", found.text(0x04)
    yield "Type", words.word(words.CHASSIS, found.number(0x05) & 0x7F)
    yield "Lock", "Present" if found.number(0x05) & 0x80 else "Not Present"
    yield "Version", found.text(0x06)
    yield "Serial Number", found.text(0x07)
    yield "Asset Tag", found.text(0x08)
    if found.length >= 0x0D:
        states = (("Boot-up", 0x09), ("Power Supply", 0x0A), ("Thermal", 0x0B))
        for name, at in states:
            yield f"{name} State", words.word(words.CHASSIS_STATE, found.number(at))
        yield "Security Status", words.word(words.CHASSIS_SECURITY, found.number(0x0C))
    if found.length >= 0x11:
        yield "OEM Information", f"0x{found.number(0x0D, 4):08X}"
    if found.length >= 0x13:
        height, cords = found.number(0x11), found.number(0x12)
        yield "Height", f"{height} U" if height else "Unspecified"
        yield "Number Of Power Cords", str(cords) if cords else "Unspecified"
    if found.length >= 0x15:
        count, end = found.number(0x13), 0x15 + found.number(0x13) * found.number(0x14)
        if found.length >= end:
            yield "Contained Elements", str(count)
        if found.length > end:
            yield "SKU Number", found.text(end)


def read_strings(name: str) -> Callable[[Structure], Properties]:
    """Return the reader of a structure that is a list of strings."""

    def read(found: Structure) -> Properties:
        if found.length >= 0x05:
            for place in range(found.number(0x04)):
                text = found.strings[place] if place < len(found.strings) else "<BAD INDEX>"
                yield f"{name} {place + 1}", text

    return read


def read_boot(found: Structure) -> Properties:
    """Yield what type 32 says."""
    if found.length >= 0x0B:
        status = found.number(0x0A)
        if 128 <= status < 192:
            yield "Status", "OEM-specific"
        elif status >= 192:
            yield "Status", "Product-specific"
        else:
            yield "Status", words.word(words.BOOT_STATUS, status, 0)


def read_device(found: Structure) -> Properties:
    """Yield what type 41 says."""
    if found.length < 0x0B:
        return
    yield "Reference Designation", found.text(0x04)
    yield "Type", words.word(words.DEVICE, found.number(0x05) & 0x7F)
    yield "Status", "Enabled" if found.number(0x05) & 0x80 else "Disabled"
    yield "Type Instance", str(found.number(0x06))
    segment, bus, place = found.number(0x07, 2), found.number(0x09), found.number(0x0A)
    if (segment, bus, place) != (0xFFFF, 0xFF, 0xFF):
        yield "Bus Address", f"{segment:04x}:{bus:02x}:{place >> 3:02x}.{place & 7:x}"


READERS: dict[int, Callable[[Structure], Properties]] = {
    0: read_firmware,
    1: read_system,
    2: read_board,
    3: read_chassis,
    4: processor.read_processor,
    11: read_strings("String"),
    12: read_strings("Option"),
    16: memory.read_array,
    17: memory.read_device,
    19: memory.read_mapping,
    32: read_boot,
    41: read_device,
    126: read_nothing,
    127: read_nothing,
}
