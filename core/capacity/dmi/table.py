"""SMBIOS tables: the entry point, and the structures with their strings. No I/O.

Source: DMTF DSP0134, "Accessing SMBIOS information" and "SMBIOS structures". A table that ends
early or has a broken structure gives the structures before it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

HEADER = struct.Struct("<BBH")  # type, length of the formatted part, handle
END_OF_TABLE = 127
TABLE_MAX_BYTES = 1 << 20
STRUCTURES_MAX = 8192
NO_STRING = "Not Specified"
BAD_STRING = "<BAD INDEX>"

_ANCHOR_32, _ANCHOR_64 = b"_SM_", b"_SM3_"


class Version(NamedTuple):
    """The version of SMBIOS that the tables follow."""

    major: int
    minor: int


UNKNOWN = Version(0, 0)


@dataclass(frozen=True)
class Structure:
    """One structure: `data` is its formatted part with the header, `strings` follow it."""

    kind: int
    handle: int
    data: bytes
    strings: tuple[str, ...] = ()
    version: Version = UNKNOWN

    @property
    def length(self) -> int:
        """Return the length of the formatted part."""
        return len(self.data)

    def number(self, offset: int, size: int = 1) -> int:
        """Return the little-endian number at `offset`."""
        return int.from_bytes(self.data[offset : offset + size], "little")

    def text(self, offset: int) -> str:
        """Return the string whose index is at `offset`."""
        index = self.number(offset)
        if index == 0:
            return NO_STRING
        return self.strings[index - 1] if index <= len(self.strings) else BAD_STRING


def parse_version(entry_point: bytes) -> Version:
    """Return the version in an entry point; 0.0 for anything else."""
    if entry_point.startswith(_ANCHOR_64) and len(entry_point) >= 0x18:
        return Version(entry_point[7], entry_point[8])
    if entry_point.startswith(_ANCHOR_32) and len(entry_point) >= 0x1F:
        return Version(entry_point[6], entry_point[7])
    return UNKNOWN


def parse_table(table: bytes, version: Version = UNKNOWN) -> list[Structure]:
    """Return the structures of a table up to its end or the first broken one."""
    return list(_walk(table[:TABLE_MAX_BYTES], version))


def _walk(table: bytes, version: Version) -> Iterator[Structure]:
    place = 0
    for _ in range(STRUCTURES_MAX):
        if place + HEADER.size > len(table):
            return
        kind, length, handle = HEADER.unpack_from(table, place)
        end = place + length
        if length < HEADER.size or end > len(table):
            return
        strings, following = _read_strings(table, end)
        yield Structure(kind, handle, table[place:end], strings, version)
        if kind == END_OF_TABLE:
            return
        place = following


def _read_strings(table: bytes, start: int) -> tuple[tuple[str, ...], int]:
    """Return the strings at `start`, and where the next structure begins.

    Each string ends with a zero byte, and one more ends them all; without strings there are two.
    """
    end = table.find(b"\0\0", start)
    if end < 0:
        end = len(table)
    found = table[start:end].split(b"\0") if end > start else []
    return tuple(_printable(text) for text in found), end + 2


def _printable(text: bytes) -> str:
    """Return a string as ASCII, with dots for what is no character of it."""
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in text).strip()
