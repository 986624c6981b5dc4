"""PE32+ images, as UEFI starts them: reads sections, appends sections. Pure.

The format is Microsoft's "PE Format"; the limits are those of UEFI images: one file, sections in
the order of their addresses, at most one signature table, which is the end of the file.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from common.efi.errors import FormatError

PE32_PLUS = 0x20B
AMD64, ARM64 = 0x8664, 0xAA64  # kinds of processors
COFF_BYTES = 24  # the signature "PE\0\0" and the COFF header
SECTION = struct.Struct("<8sIIIIIIHHI")
SECTIONS_MAX = 96
MAX_BYTES = 1 << 30  # of a file that is read as an EFI binary

# Offsets in the optional header.
AT_INITIALIZED_SIZE = 8
AT_SECTION_ALIGNMENT = 32
AT_FILE_ALIGNMENT = 36
AT_IMAGE_SIZE = 56
AT_HEADERS_SIZE = 60
AT_CHECKSUM = 64
AT_DLL_CHARACTERISTICS = 70
AT_DIRECTORY_COUNT = 108
AT_CERTIFICATES = 144  # the entry of the table of signatures: offset and size
OPTIONAL_BYTES = 152

NX_COMPATIBLE = 0x0100
READ = 0x4000_0000
CODE = 0x20
INITIALIZED_DATA = 0x40


class Section(NamedTuple):
    """One row of the table of sections."""

    name: str
    virtual_size: int
    address: int
    raw_size: int
    offset: int


@dataclass(frozen=True, slots=True)
class Image:
    """The parsed headers of `data`; `optional` is the offset of the optional header."""

    data: bytes
    optional: int
    table: int
    sections: tuple[Section, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the headers. Raises `FormatError` if they are damaged or of another kind."""
        try:
            (start,) = struct.unpack_from("<I", data, 0x3C)
            count, _, _, _, optional_size = struct.unpack_from("<HIIIH", data, start + 6)
            (magic,) = struct.unpack_from("<H", data, start + COFF_BYTES)
        except struct.error as error:
            raise FormatError("not an EFI binary: it is too short") from error
        if data[:2] != b"MZ" or data[start : start + 4] != b"PE\0\0" or magic != PE32_PLUS:
            raise FormatError("not an EFI binary of a 64-bit processor (PE32+)")
        optional = start + COFF_BYTES
        table = optional + optional_size
        end = table + count * SECTION.size
        if optional_size < OPTIONAL_BYTES or count > SECTIONS_MAX or end > len(data):
            raise FormatError("cannot read the EFI binary: its headers are damaged")
        rows = SECTION.iter_unpack(data[table:end])
        image = cls(data, optional, table, tuple(_section(row) for row in rows))
        image.check()
        return image

    def check(self) -> None:
        """Raise `FormatError` unless sections and signatures are inside the file."""
        ends = [s.offset + s.raw_size for s in self.sections if s.raw_size]
        start, size = self.certificates
        units = self.number(AT_SECTION_ALIGNMENT), self.number(AT_FILE_ALIGNMENT)
        if any(unit == 0 or unit & (unit - 1) for unit in units):
            raise FormatError("cannot read the EFI binary: its headers are damaged")
        table_end = self.table + len(self.sections) * SECTION.size
        starts = [s.offset for s in self.sections if s.raw_size]
        if not table_end <= self.number(AT_HEADERS_SIZE) <= min(starts, default=len(self.data)):
            raise FormatError("cannot read the EFI binary: its headers are damaged")
        if self.number(AT_DIRECTORY_COUNT) <= 4 or any(end > len(self.data) for end in ends):
            raise FormatError("cannot read the EFI binary: a section is cut off")
        if size and (start < max(ends, default=0) or start + size != len(self.data)):
            raise FormatError("cannot read the EFI binary: its signatures are not its end")

    @property
    def machine(self) -> int:
        """Return the kind of processor."""
        value: int = struct.unpack_from("<H", self.data, self.optional - COFF_BYTES + 4)[0]
        return value

    def number(self, offset: int) -> int:
        """Return the 32-bit number at `offset` of the optional header."""
        value: int = struct.unpack_from("<I", self.data, self.optional + offset)[0]
        return value

    @property
    def certificates(self) -> tuple[int, int]:
        """Return offset and size of the table of signatures; (0, 0) if there is none."""
        return self.number(AT_CERTIFICATES), self.number(AT_CERTIFICATES + 4)

    @property
    def is_nx_compatible(self) -> bool:
        """Return whether the image says that it never executes writable memory."""
        at = self.optional + AT_DLL_CHARACTERISTICS
        (flags,) = struct.unpack_from("<H", self.data, at)
        return bool(flags & NX_COMPATIBLE)

    def content(self, name: str) -> bytes | None:
        """Return the content of the section `name`, or None."""
        for section in self.sections:
            if section.name == name:
                size = min(section.virtual_size, section.raw_size)
                return self.data[section.offset : section.offset + size]
        return None


def _section(row: tuple[bytes, int, int, int, int, int, int, int, int, int]) -> Section:
    name, virtual_size, address, raw_size, offset = row[:5]
    return Section(name.rstrip(b"\0").decode("latin-1"), virtual_size, address, raw_size, offset)


def add_sections(base: Image, contents: dict[str, bytes], *, is_nx_compatible: bool) -> bytes:
    """Return `base` with `contents` as further sections, in their order.

    A section that `base` already has is replaced in its place, where the content must fit. The
    result has no checksum, which UEFI does not read. Raises `FormatError`.
    """
    if base.certificates[1]:
        raise FormatError("cannot add sections to a signed EFI binary")
    header = bytearray(base.data[: base.number(AT_HEADERS_SIZE)])
    body = bytearray(base.data[len(header) :])
    for name, content in contents.items():
        number = next((n for n, row in enumerate(base.sections) if row.name == name), None)
        if number is None:
            _append(base, header, body, name, content)
        else:
            _replace(base, header, body, number, content)
    struct.pack_into("<I", header, base.optional + AT_CHECKSUM, 0)
    if not is_nx_compatible:
        at = base.optional + AT_DLL_CHARACTERISTICS
        (flags,) = struct.unpack_from("<H", header, at)
        struct.pack_into("<H", header, at, flags & ~NX_COMPATIBLE)
    return bytes(header) + bytes(body)


def drop_sections(image: Image, names: Iterable[str]) -> bytes:
    """Return `image` as it was before `add_sections` appended sections of these names."""
    unwanted = frozenset(names)
    kept = [row for row in image.sections if row.name not in unwanted]
    dropped = [row for row in image.sections if row.name in unwanted]
    if not dropped or image.sections[: len(kept)] != tuple(kept) or image.certificates[1]:
        raise FormatError("cannot take the EFI binary apart: its sections are in another order")
    header = bytearray(image.data[: image.number(AT_HEADERS_SIZE)])
    start = image.table + len(kept) * SECTION.size
    header[start : start + len(dropped) * SECTION.size] = bytes(len(dropped) * SECTION.size)
    struct.pack_into("<H", header, image.optional - COFF_BYTES + 6, len(kept))
    size = image.number(AT_INITIALIZED_SIZE) - sum(row.virtual_size for row in dropped)
    _put(header, image.optional + AT_INITIALIZED_SIZE, size)
    end = round_up(dropped[0].address, image.number(AT_SECTION_ALIGNMENT))
    _put(header, image.optional + AT_IMAGE_SIZE, end)
    return bytes(header) + image.data[len(header) : dropped[0].offset]


def _append(base: Image, header: bytearray, body: bytearray, name: str, content: bytes) -> None:
    """Add one section after all others, and to the sizes and the count in the headers."""
    at_count = base.optional - COFF_BYTES + 6
    (count,) = struct.unpack_from("<H", header, at_count)
    place = base.table + count * SECTION.size
    last = _section(SECTION.unpack_from(header, place - SECTION.size))
    if place + SECTION.size > len(header):
        raise FormatError(f"cannot add the section {name}: no room in the headers")
    address = round_up(last.address + last.virtual_size, base.number(AT_SECTION_ALIGNMENT))
    alignment = base.number(AT_FILE_ALIGNMENT)
    body += bytes(-(len(header) + len(body)) % alignment)
    offset, raw_size = len(header) + len(body), round_up(len(content), alignment)
    body += content + bytes(raw_size - len(content))
    flags = READ | (CODE if name == ".linux" else INITIALIZED_DATA)
    end = round_up(address + len(content), base.number(AT_SECTION_ALIGNMENT))
    _put(header, base.optional + AT_IMAGE_SIZE, end)  # refuses what is too large for the rest, too
    row = (name.encode(), len(content), address, raw_size, offset, 0, 0, 0, 0, flags)
    SECTION.pack_into(header, place, *row)
    struct.pack_into("<H", header, at_count, count + 1)
    at_size = base.optional + AT_INITIALIZED_SIZE
    (size,) = struct.unpack_from("<I", header, at_size)
    _put(header, at_size, size + len(content))


def _replace(base: Image, header: bytearray, body: bytearray, number: int, content: bytes) -> None:
    """Replace the content of a section of `base`."""
    section = base.sections[number]
    if len(content) > section.raw_size:
        raise FormatError(f"cannot replace the section {section.name}: no room for its content")
    start = section.offset - len(header)
    body[start : start + section.raw_size] = content.ljust(section.raw_size, b"\0")
    struct.pack_into("<I", header, base.table + number * SECTION.size + 8, len(content))


def _put(header: bytearray, at: int, value: int) -> None:
    """Write a 32-bit number to the headers."""
    if not 0 <= value < 1 << 32:
        raise FormatError("cannot write the EFI binary: too large, or its headers are damaged")
    struct.pack_into("<I", header, at, value)


def round_up(size: int, unit: int) -> int:
    """Return `size`, rounded up to a multiple of `unit`."""
    return size + -size % unit


def machine_of(head: bytes) -> int | None:
    """Return the kind of processor of what begins with `head`, or None if that is no PE image."""
    try:
        (start,) = struct.unpack_from("<I", head, 0x3C)
        magic, machine = struct.unpack_from("<4sH", head, start)
    except struct.error:
        return None
    return int(machine) if head[:2] == b"MZ" and magic == b"PE\0\0" else None
