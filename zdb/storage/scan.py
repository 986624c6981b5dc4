"""Walking over a namespace: SCAN, RSCAN, HISTORY and DATA RAW."""

from typing import NamedTuple

from zdb.errors import DamagedError, RefusedError
from zdb.format.data import HEADER as DATA_HEADER
from zdb.format.index import CURSOR, ENTRY, HEADER, LINK, Entry
from zdb.storage.namespace import Namespace
from zdb.values import SEQ

PAGE = 1000  # keys
LOOKED_AT = 50_000  # entries for one page, going forward; most may be deleted ones
LOOKED_BACK_AT = 5_000


class Page(NamedTuple):
    """Some keys with the length of their values and their times, and where to go on."""

    cursor: bytes
    items: list[tuple[bytes, int, int]]


class Version(NamedTuple):
    """One value that a key had."""

    link: bytes | None  # to the version before
    time: int
    value: bytes


class Raw(NamedTuple):
    """A record as it is in its data file."""

    key: bytes
    previous: int
    crc: int
    flags: int
    time: int
    value: bytes


Place = tuple[int, int, Entry]


def scan(namespace: Namespace, cursor: bytes | None, forward: bool = True) -> Page | None:
    """Return the keys behind a cursor in the order of their last change; None at the end.

    A page may be empty if many entries are deleted ones; the caller goes on with its cursor.
    """
    start = None if cursor is None else read_cursor(namespace, cursor)
    walk = _forward if forward else _backward
    last, items = walk(namespace, start)
    if last is None:
        return None
    file_id, offset, entry = last
    packed = CURSOR.pack(len(entry.key), file_id, entry.length, offset, entry.crc)
    return Page(packed, items)


def read_cursor(namespace: Namespace, cursor: bytes) -> Place:
    """Return the entry that a cursor points at; raise `RefusedError` if it is made up."""
    refusal = RefusedError("Invalid key format")
    if len(cursor) != CURSOR.size:
        raise refusal
    size, file_id, length, offset, crc = CURSOR.unpack(cursor)
    entry = namespace.index.entry(file_id, offset, ENTRY.size + size)
    if offset < HEADER.size or entry is None or len(entry.key) != size or not size:
        raise refusal
    is_same = entry.length == length and entry.crc == crc
    if not is_same and (namespace.mode != SEQ or not _is_number(namespace, file_id, offset, entry)):
        raise refusal
    return file_id, offset, entry


def _is_number(namespace: Namespace, file_id: int, offset: int, entry: Entry) -> bool:
    """Return whether an entry of mode seq, whose value was changed, is in its place."""
    found = namespace.entry(entry.key)
    return found is not None and (found.index_file, found.index_offset) == (file_id, offset)


def _forward(
    namespace: Namespace, start: Place | None
) -> tuple[Place | None, list[tuple[bytes, int, int]]]:
    index, items, last, seen = namespace.index, list[tuple[bytes, int, int]](), None, 0
    file_id, offset = (start[0], start[1] + start[2].size) if start else (0, HEADER.size)
    while file_id < len(index.files) and len(items) < PAGE and seen < LOOKED_AT:
        chunk = index.chunk(file_id, offset)
        if not chunk:
            file_id, offset = file_id + 1, HEADER.size
        for place, entry in chunk[: PAGE - len(items)]:
            last, offset = (file_id, place, entry), place + entry.size
            if not entry.is_deleted:
                items.append((entry.key, entry.length, entry.time))
        seen += len(chunk)
    return (last if items or file_id < len(index.files) else None), items


def _backward(
    namespace: Namespace, start: Place | None
) -> tuple[Place | None, list[tuple[bytes, int, int]]]:
    index, items, last = namespace.index, list[tuple[bytes, int, int]](), None
    for _ in range(LOOKED_BACK_AT):
        place = index.before(*start) if start else last_place(namespace)
        entry = index.entry(*place) if place else None
        if place is None or entry is None:
            return (last if items else None), items
        start = last = (*place, entry)
        if not entry.is_deleted:
            items.append((entry.key, entry.length, entry.time))
        if len(items) == PAGE:
            break
    return last, items


def last_place(namespace: Namespace) -> tuple[int, int] | None:
    """Return file and offset of the last entry of all."""
    for file_id in reversed(range(len(namespace.index.files))):
        if namespace.index.last[file_id]:
            return file_id, namespace.index.last[file_id]
    return None


def history(namespace: Namespace, key: bytes, link: bytes | None = None) -> Version:
    """Return a version of a key: the current one, or the one that a link points at."""
    if link is None:
        found = namespace.entry(key)
        if found is None:
            raise RefusedError("Key not found")
        place = found.index_file, found.index_offset
    else:
        place = read_link(link)
    entry = namespace.index.entry(*place, ENTRY.size + len(key))
    if entry is None or place[1] < HEADER.size:
        raise RefusedError("Invalid arguments (index query)")
    if entry.key != key:
        raise RefusedError("Invalid arguments (invalid key)")
    parent = entry.parent_file, entry.parent_offset
    older = LINK.pack(*parent) if any(parent) else None
    return Version(older, entry.time, version_value(namespace, place[0], entry))


def read_link(link: bytes) -> tuple[int, int]:
    """Return the place in the index that a client sends."""
    if len(link) != LINK.size:
        raise RefusedError("Invalid arguments")
    file_id, offset = LINK.unpack(link)
    if not file_id and not offset:
        raise RefusedError("No more history")
    return file_id, offset


def version_value(namespace: Namespace, index_file: int, entry: Entry) -> bytes:
    """Return the value of an entry.

    In mode user the data file has the number of the index file, whatever the entry says: upstream
    writes 0 for the first version of a key.
    """
    choices = [entry.data_file, index_file] if namespace.mode == SEQ else [index_file]
    for data_file in choices:
        record = namespace.data.record(data_file, entry.offset)
        if record is not None and (record.key, record.crc) == (entry.key, entry.crc):
            return namespace.data.value(data_file, record)
    raise namespace.data.damaged(choices[0], entry.offset)


def raw(namespace: Namespace, file_id: int, offset: int) -> Raw:
    """Return the record at a place in the data files."""
    data = namespace.data
    if not 0 <= file_id < len(data.files) or offset < DATA_HEADER.size:
        raise RefusedError("Invalid Request")
    if offset >= data.files[file_id].end:
        raise RefusedError("EOF")
    record = data.record(file_id, offset)
    if record is None:
        raise RefusedError("Invalid Request")
    try:
        value = b"" if record.is_deletion else data.value(file_id, record)
    except DamagedError as error:
        raise RefusedError("Invalid Request") from error
    return Raw(record.key, record.previous, record.crc, record.flags, record.time, value)
