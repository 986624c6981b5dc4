"""Reading a data file from its beginning to its end, past damage."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from zdb.format.data import FLAGS, RECORD, Record, checksum, unpack_record
from zdb.storage.files import LogFile
from zdb.values import MAX_KEY, MAX_VALUE

WINDOW = 1 << 20
PREVIOUS_AT = 5  # where in a record its field `previous` is
# What the head of any record looks like: key length, value length, previous, checksum, flags.
HEAD = re.compile(rb"(?=[^\0]..[\0-\x80]\0.{8}[\0-\x03])", re.DOTALL)


class Damage(NamedTuple):
    """Bytes that are not what was written.

    `is_tail`: nothing readable comes after them. `record`: what they are, if only the value's
    checksum is wrong.
    """

    offset: int
    end: int
    is_tail: bool
    record: Record | None = None


def walk(
    file: LogFile, offset: int, previous: int | None, verify: bool = True
) -> Iterator[Record | Damage]:
    """Yield the records of a file from `offset` on; `previous` is the record before, if known.

    With `verify` the values are read, and their checksums compared.
    """
    window = Window(file)
    while offset < file.length:
        record = window.record(offset, previous, verify=False)
        if record is not None and (not verify or window.is_right(record)):
            yield record
            offset, previous = record.end, offset
        elif record is not None and record.end < file.length and is_chained(window, record):
            yield Damage(offset, record.end, False, record)
            offset, previous = record.end, offset
        else:
            found = find_record(window, offset)
            yield Damage(offset, file.length if found is None else found, found is None)
            if found is None:
                return
            offset, previous = found, None


class Window:
    """A file that is read in large steps."""

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self._start = 0
        self._bytes = b""

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`."""
        at = offset - self._start
        if at < 0 or at + size > len(self._bytes):
            self._bytes = self.file.read(offset, max(size, WINDOW))
            self._start, at = offset, 0
        return self._bytes[at : at + size]

    def record(self, offset: int, previous: int | None, verify: bool = True) -> Record | None:
        """Return the record at an offset; None if there can't be one, or its value is damaged."""
        record = unpack_record(self.read(offset, RECORD.size + MAX_KEY), offset)
        if record is None or not record.key or record.flags & ~FLAGS:
            return None
        if record.length > MAX_VALUE or record.end > self.file.length:
            return None
        if not record.length:
            return record if previous is None or record.previous == previous else None
        return record if not verify or self.is_right(record) else None

    def is_right(self, record: Record) -> bool:
        """Return whether a value's checksum is right."""
        return checksum(self.read(record.end - record.length, record.length)) == record.crc


def find_record(window: Window, offset: int) -> int | None:
    """Return where the next record after damage at `offset` begins.

    It is the one that names the damaged record as the one before; if that is damaged, too, the
    first place that looks like a record with the right checksum, and is named by the one after it.
    """
    mark = offset.to_bytes(4, "little")
    for at in matches(window, re.compile(re.escape(mark)), offset + RECORD.size, PREVIOUS_AT):
        if at > offset and window.record(at, offset) is not None:
            return at
    for at in matches(window, HEAD, offset + 1, 0):
        record = window.record(at, None, verify=False)
        if record is not None and is_chained(window, record) and window.is_right(record):
            return at
    return None


def is_chained(window: Window, record: Record) -> bool:
    """Return whether the record after this one, if there is one, names it."""
    if record.end == window.file.length:
        return record.length > 0
    after = unpack_record(window.read(record.end, RECORD.size), record.end) or unpack_record(
        window.read(record.end, RECORD.size + MAX_KEY), record.end
    )
    return after is not None and after.previous == record.offset


def matches(window: Window, pattern: re.Pattern[bytes], start: int, shift: int) -> Iterator[int]:
    """Yield the places, less `shift`, where a pattern matches in a file from `start` on."""
    end = window.file.length
    while start < end:
        blob = window.file.read(start, WINDOW + RECORD.size)
        for match in pattern.finditer(blob):
            if match.start() >= WINDOW:
                break
            yield start + match.start() - shift
        start += WINDOW
