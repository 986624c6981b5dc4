"""A data file: `DAT0`, version 3. All numbers are little-endian.

Source: `libzdb/data.h` and `libzdb/crc32.c` of threefoldtech/0-db 2.0.7. A file is called `d0`,
`d1`… and is a header and records without gaps. A record is never changed: a deletion is a record
with a flag and no value.

`previous` is the offset of the record before. In the first record of a file it is the offset of
the last record of the file before, or 0.
"""

from struct import Struct
from typing import NamedTuple

import google_crc32c

from zdb.errors import DamagedError, VersionError

MAGIC = b"DAT0"
VERSION = 3
HEADER = Struct("<4sIQQI")  # magic, version, created, opened (always 0), number of the file
RECORD = Struct("<BIIIBI")  # key length, value length, previous, checksum, flags, time
DELETED = 1
TRUNCATED = 2  # upstream's compaction dropped the value
FLAGS = DELETED | TRUNCATED

ALL_ONES = 0xFFFFFFFF


class Record(NamedTuple):
    """The head of a record and its key; `offset` is where it begins in its file."""

    offset: int
    key: bytes
    length: int
    previous: int
    crc: int
    flags: int
    time: int

    @property
    def end(self) -> int:
        """Return the offset behind the record."""
        return self.offset + RECORD.size + len(self.key) + self.length

    @property
    def is_deletion(self) -> bool:
        """Return whether the record deletes its key."""
        return bool(self.flags & DELETED)


def file_name(file_id: int) -> str:
    """Return the name of a data file."""
    return f"d{file_id}"


def checksum(value: bytes) -> int:
    """Return the checksum of a value: CRC-32C that starts at 0 and is not inverted at the end."""
    return int(google_crc32c.extend(ALL_ONES, value)) ^ ALL_ONES


def pack_header(created: int, file_id: int) -> bytes:
    """Return the header of a new data file; `created` is a Unix time."""
    return HEADER.pack(MAGIC, VERSION, created, 0, file_id)


def read_header(head: bytes, file_id: int, name: str) -> int:
    """Return when a data file was created; raise `DamagedError` if it is not file `file_id`."""
    if len(head) < HEADER.size:
        raise DamagedError(f"cannot read {name}: it ends within its header")
    magic, version, created, _, number = HEADER.unpack_from(head)
    if magic != MAGIC:
        raise DamagedError(f"cannot read {name}: not a data file of Zero-DB")
    if version != VERSION:
        raise VersionError(f"cannot read {name}: version {version} instead of {VERSION}")
    if number != file_id:
        raise DamagedError(f"cannot read {name}: it says that it is data file {number}")
    return int(created)


def pack_record(key: bytes, value: bytes, previous: int, crc: int, flags: int, time: int) -> bytes:
    """Return a record."""
    return RECORD.pack(len(key), len(value), previous, crc, flags, time) + key + value


def unpack_record(blob: bytes, offset: int, at: int = 0) -> Record | None:
    """Return the record whose head and key begin at `at` of `blob`; None if they are cut off."""
    if len(blob) < at + RECORD.size:
        return None
    size, length, previous, crc, flags, time = RECORD.unpack_from(blob, at)
    key = blob[at + RECORD.size : at + RECORD.size + size]
    return Record(offset, key, length, previous, crc, flags, time) if len(key) == size else None
