"""From index files to the keys in memory. Written out for speed: opening takes as long as this."""

from struct import Struct

from zdb.errors import DamagedError
from zdb.format import index as index_format
from zdb.format.data import RECORD
from zdb.format.index import ENTRY
from zdb.storage.index_files import ENTRY_MAX
from zdb.storage.namespace import Namespace
from zdb.storage.seq_keys import SeqKeys
from zdb.storage.table import tag_of
from zdb.storage.user_keys import UserKeys
from zdb.values import MAX_FILE_SIZE

WINDOW = 1 << 20
SEQ_WINDOW = 10_000 * index_format.SEQ_ENTRY
HEAD = Struct("<BIIIB")  # the fields of an index entry up to its flags
SEQ_HEAD = Struct(f"<BIIIB{index_format.SEQ_ENTRY - HEAD.size}x")


def load_user(namespace: Namespace, keys: UserKeys, file_id: int, end: int) -> None:
    """Load an index file up to `end` in mode user."""
    index, blob, start, at, place = namespace.index, b"", index_format.HEADER.size, 0, 0
    limit = namespace.data.files[file_id].length or MAX_FILE_SIZE
    unpack, add, total, begin = HEAD.unpack_from, keys.table.add_unless, 0, file_id << 32
    while (offset := start + at) < end:
        if len(blob) - at < ENTRY_MAX and start + len(blob) < end:
            start, at, blob = offset, 0, index.current.read(offset, WINDOW)
        if len(blob) - at < ENTRY.size:
            raise DamagedError(f"{index.current.path} at {offset}: the entry is cut off")
        size, place, length, _, flags = unpack(blob, at)
        key = blob[at + ENTRY.size : (at := at + ENTRY.size + size)]
        if place + RECORD.size + size + length > limit or len(key) < size or start + at > end:
            raise DamagedError(f"{index.current.path} at {offset}: no such data")
        if not flags & index_format.DELETED:
            total += length
            if not add(tag_of(key), begin | place, offset):
                total -= keys.load(file_id, offset, place, key)
        index.previous = offset
    if index.previous and end > index_format.HEADER.size:
        index.last[-1] = index.previous
    namespace.data_bytes += total


def load_seq(namespace: Namespace, keys: SeqKeys, end: int) -> None:
    """Load an index file up to `end` in mode seq."""
    index, offset, total = namespace.index, index_format.HEADER.size, 0
    while offset < end:
        blob = index.current.read(offset, min(end - offset, SEQ_WINDOW))
        if len(blob) % index_format.SEQ_ENTRY or not blob:
            raise DamagedError(f"{index.current.path} at {offset}: the entry is cut off")
        for size, _, length, _, flags in SEQ_HEAD.iter_unpack(blob):
            if size != index_format.SEQ_KEY:
                raise DamagedError(f"{index.current.path} has keys that are no numbers")
            if not flags & index_format.DELETED:
                keys.live += 1
                total += length
        offset += len(blob)
        keys.numbers.next += len(blob) // index_format.SEQ_ENTRY
        index.note(offset - index_format.SEQ_ENTRY)
    namespace.data_bytes += total
