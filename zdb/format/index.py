"""An index file: `IDX0`, version 4. All numbers are little-endian.

Source: `libzdb/index.h` of threefoldtech/0-db 2.0.7. A file is called `i0`, `i1`…; it has the same
number as the data file it belongs to. It is a header and entries without gaps, one for each record
of the data file that is no deletion.

In mode user an entry is appended for each value, and the entry it replaces gets the flag DELETED.
In mode seq the entry of a number stays in its place and is written over; the version that it
replaces is appended, with the flag DELETED, and so takes a number of its own.

`parent` is where the entry of the version before is: file and offset in the index, 0 and 0 if there
is none.
"""

from struct import Struct
from typing import NamedTuple

from zdb.errors import DamagedError
from zdb.values import SEQ, USER

MAGIC = b"IDX0"
VERSION = 4
HEADER = Struct("<4sIQQIB")  # magic, version, created, opened, number of the file, mode
# key length, offset and length in the data file, previous, flags, data file, time, checksum, parent
ENTRY = Struct("<BIIIBIIIII")
DELETED = 1
FLAGS_AT = 13  # where in an entry its flags are
SEQ_KEY = 8
SEQ_ENTRY = ENTRY.size + SEQ_KEY

MODE_NUMBERS = {USER: 0, SEQ: 1}
MODE_NAMES = {number: mode for mode, number in MODE_NUMBERS.items()}

CURSOR = Struct("<BIIII")  # key length, index file, value length, offset in the index, checksum
LINK = Struct("<II")  # index file, offset


class Entry(NamedTuple):
    """An entry of an index file."""

    offset: int  # in the data file
    length: int
    previous: int
    flags: int
    data_file: int
    time: int
    crc: int
    parent_file: int
    parent_offset: int
    key: bytes

    @property
    def is_deleted(self) -> bool:
        """Return whether the entry is no longer the one of its key."""
        return bool(self.flags & DELETED)

    @property
    def size(self) -> int:
        """Return how many bytes the entry has in its file."""
        return ENTRY.size + len(self.key)

    def pack(self) -> bytes:
        """Return the bytes of the entry."""
        return ENTRY.pack(len(self.key), *self[:-1]) + self.key


def file_name(file_id: int) -> str:
    """Return the name of an index file."""
    return f"i{file_id}"


def pack_header(created: int, file_id: int, mode: str) -> bytes:
    """Return the header of a new index file; `created` is a Unix time."""
    return HEADER.pack(MAGIC, VERSION, created, created, file_id, MODE_NUMBERS[mode])


def read_header(head: bytes, file_id: int, name: str) -> str:
    """Return the mode of an index file; raise `DamagedError` if it is not file `file_id`."""
    if len(head) < HEADER.size:
        raise DamagedError(f"cannot read {name}: it ends within its header")
    magic, version, _, _, number, mode = HEADER.unpack_from(head)
    if magic != MAGIC:
        raise DamagedError(f"cannot read {name}: not an index file of Zero-DB")
    if version != VERSION:
        raise DamagedError(f"cannot read {name}: version {version} instead of {VERSION}")
    if number != file_id:
        raise DamagedError(f"cannot read {name}: it says that it is index file {number}")
    if mode not in MODE_NAMES:
        raise DamagedError(f"cannot read {name}: unknown mode {mode}")
    return MODE_NAMES[mode]


def unpack_entry(blob: bytes, at: int = 0) -> Entry | None:
    """Return the entry at `at` of `blob`; None if it is cut off."""
    if len(blob) < at + ENTRY.size:
        return None
    size, *fields = ENTRY.unpack_from(blob, at)
    key = blob[at + ENTRY.size : at + ENTRY.size + size]
    return Entry._make((*fields, key)) if len(key) == size else None
