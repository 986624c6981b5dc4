"""Writes older flists for tests: Cap'n Proto records in SQLite in a gzip tar."""

import hashlib
import io
import sqlite3
import struct
import tarfile
from pathlib import Path
from typing import NamedTuple, Union

Value = Union[bytes, "Record", list["Record"], None]


class Record(NamedTuple):
    """A struct: its data section (whole words) and the targets of its pointers."""

    data: bytes
    pointers: tuple[Value, ...]


def word(low: int, high: int = 0) -> bytes:
    """Return a 64-bit word made of two halves."""
    return ((low & 0xFFFFFFFF) | high << 32).to_bytes(8, "little")


class Builder:
    """Lays out a record in one segment."""

    def __init__(self) -> None:
        self.words = bytearray(8)

    def reserve(self, count: int) -> int:
        """Append `count` words; return the position of the first."""
        position = len(self.words) // 8
        self.words += bytes(count * 8)
        return position

    def set(self, position: int, data: bytes) -> None:
        """Write `data` at the word `position`."""
        self.words[position * 8 : position * 8 + len(data)] = data

    def fill(self, position: int, record: Record) -> None:
        """Write a record's sections at `position`."""
        self.set(position, record.data)
        first = position + len(record.data) // 8
        for index, value in enumerate(record.pointers):
            self.point(first + index, value)

    def point(self, position: int, value: Value) -> None:
        """Write `value`, and a pointer to it at `position`."""
        if value is None:
            return
        if isinstance(value, bytes):
            start = self.reserve(-(-len(value) // 8))
            self.set(start, value)
            self.set(position, word(1 | (start - position - 1) << 2, 2 | len(value) << 3))
        elif isinstance(value, Record):
            size = len(value.data) // 8, len(value.pointers)
            start = self.reserve(sum(size))
            self.set(position, word((start - position - 1) << 2, size[0] | size[1] << 16))
            self.fill(start, value)
        else:
            self.point_list(position, value)

    def point_list(self, position: int, records: list[Record]) -> None:
        """Write a list of records of the same size, and a pointer to it at `position`."""
        size = (len(records[0].data) // 8, len(records[0].pointers)) if records else (0, 1)
        total = sum(size) * len(records)
        start = self.reserve(total + 1)
        self.set(position, word(1 | (start - position - 1) << 2, 7 | total << 3))
        self.set(start, word(len(records) << 2, size[0] | size[1] << 16))
        for index, record in enumerate(records):
            self.fill(start + 1 + index * sum(size), record)


def message(record: Record) -> bytes:
    """Return `record` as a message of one segment."""
    builder = Builder()
    builder.point(0, record)
    return struct.pack("<II", 0, len(builder.words) // 8) + bytes(builder.words)


def directory_key(path: str) -> str:
    """Return the key of a directory's record."""
    return hashlib.blake2b(path.encode(), digest_size=16).hexdigest()


def directory(name: str, entries: list[Record], rights: str, parent: str = "") -> Record:
    """Return a directory's record."""
    texts = (name.encode() + b"\0", name.encode() + b"\0", entries, parent.encode() + b"\0")
    return Record(struct.pack("<QII", 4096, 1_500_000_000, 1_500_000_001),
                  (*texts, rights.encode() + b"\0"))  # fmt: skip


def entry(name: str, tag: int, size: int, union: Record, rights: str) -> Record:
    """Return an entry of a directory."""
    data = struct.pack("<QHHII4x", size, tag, 0, 1_600_000_000, 1_600_000_001)
    return Record(data, (name.encode() + b"\0", union, rights.encode() + b"\0"))


def rights_record(mode: int, uid: int, gid: int) -> Record:
    """Return an access record."""
    data = struct.pack("<HHIqq", mode, 0, 0, ~uid, ~gid)
    return Record(data, (b"user\0", b"group\0", None))


def write_legacy(
    path: Path, records: dict[str, Record], metadata: dict[str, str], router: bytes | None = None
) -> None:
    """Write an older flist."""
    database_path = path.with_name("flistdb.sqlite3")
    database = sqlite3.connect(database_path)
    database.execute("CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB)")
    database.execute("CREATE TABLE metadata (key VARCHAR(64) PRIMARY KEY, value TEXT)")
    rows = [(key, message(record)) for key, record in records.items()]
    database.executemany("INSERT INTO entries VALUES (?, ?)", rows)
    database.executemany("INSERT INTO metadata VALUES (?, ?)", metadata.items())
    database.commit()
    database.close()
    with tarfile.open(path, "w:gz") as archive:
        archive.add(database_path, "./flistdb.sqlite3")
        if router is not None:
            member = tarfile.TarInfo("./router.yaml")
            member.size = len(router)
            archive.addfile(member, io.BytesIO(router))
    database_path.unlink()
