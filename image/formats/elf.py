"""The parts of ELF that a build needs: required libraries, and the sections of a module.

Only 64-bit little-endian files are supported. Format: elf(5).
"""

import struct

from image.errors import FormatError

MAGIC = b"\x7fELF\x02\x01"
SECTION_BYTES = 64
PROGRAM_TABLE_AT, SECTION_TABLE_AT = 0x20, 0x28
PROGRAM_COUNTS_AT, SECTION_COUNTS_AT = 0x36, 0x3A
DT_NULL, DT_NEEDED = 0, 1


def is_elf(data: bytes) -> bool:
    """Return whether `data` starts like a 64-bit little-endian ELF file."""
    return data.startswith(MAGIC)


def read_section(data: bytes, name: str) -> bytes | None:
    """Return the content of the first section named `name`, or None."""
    return read_sections(data).get(name)


def read_sections(data: bytes) -> dict[str, bytes]:
    """Return the content of all named sections, by name."""
    try:
        return _read_sections(data)
    except (struct.error, IndexError, ValueError) as error:
        raise FormatError(f"cannot read the ELF file: {error}") from error


def read_needed(data: bytes) -> list[str]:
    """Return the names of the shared libraries that `data` needs (DT_NEEDED)."""
    sections = read_sections(data)
    dynamic, strings = sections.get(".dynamic", b""), sections.get(".dynstr", b"")
    names = []
    for tag, value in struct.iter_unpack("<QQ", dynamic[: len(dynamic) // 16 * 16]):
        if tag == DT_NULL:
            break
        if tag == DT_NEEDED:
            names.append(_text(strings, value))
    return names


def strip_unloaded(data: bytes) -> bytes:
    """Return an executable or library without the data that no program header refers to.

    Debug information, symbol tables and section headers follow the last loaded byte; the loader
    reads only program headers. A file without such data is returned unchanged.
    """
    try:
        end = _loaded_end(data)
    except struct.error as error:
        raise FormatError(f"cannot read the ELF file: {error}") from error
    if not 0 < end < len(data):
        return data
    head = bytearray(data[:end])
    struct.pack_into("<Q", head, SECTION_TABLE_AT, 0)
    struct.pack_into("<HHH", head, SECTION_COUNTS_AT, SECTION_BYTES, 0, 0)
    return bytes(head)


def _loaded_end(data: bytes) -> int:
    (table_at,) = struct.unpack_from("<Q", data, PROGRAM_TABLE_AT)
    size, count = struct.unpack_from("<HH", data, PROGRAM_COUNTS_AT)
    ends: list[int] = [table_at + size * count]
    for index in range(count):
        _, _, offset, _, _, file_size = struct.unpack_from("<IIQQQQ", data, table_at + index * size)
        ends.append(offset + file_size)
    return max(ends)


def _read_sections(data: bytes) -> dict[str, bytes]:
    if not is_elf(data):
        raise ValueError("wrong magic")
    (table_at,) = struct.unpack_from("<Q", data, SECTION_TABLE_AT)
    size, count, names_index = struct.unpack_from("<HHH", data, SECTION_COUNTS_AT)
    if size != SECTION_BYTES:
        raise ValueError(f"section headers of {size} bytes")
    if count == 0:
        return {}
    rows = [
        struct.unpack_from("<IIQQQQ", data, table_at + index * SECTION_BYTES)
        for index in range(count)
    ]
    names = _slice(data, rows[names_index])
    found: dict[str, bytes] = {}
    for row in rows:
        found.setdefault(_text(names, row[0]), _slice(data, row))
    found.pop("", None)
    return found


def _slice(data: bytes, row: tuple[int, ...]) -> bytes:
    no_bits = 8
    return b"" if row[1] == no_bits else data[row[4] : row[4] + row[5]]


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode()
