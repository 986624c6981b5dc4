"""Mode user: keys that clients choose, in a table in memory.

The entry of a record is in the index file of the same number, so one place says where both are.
"""

from zdb.errors import RefusedError
from zdb.format.data import RECORD, Record, unpack_record
from zdb.format.index import ENTRY
from zdb.storage.data_files import DataFiles
from zdb.storage.index_files import IndexFiles
from zdb.storage.keys import Found, Undo
from zdb.storage.table import Table, tag_of

AHEAD = 1024  # bytes that are read with a record's head: most values, in one call
OFFSET = 0xFFFFFFFF
NO_PARENT = (0, 0)


class UserKeys:
    """The keys of a namespace in mode user."""

    def __init__(self, data: DataFiles, index: IndexFiles) -> None:
        self.table = Table()
        self.undo: Undo = []
        self._data = data
        self._index = index

    @property
    def count(self) -> int:
        """Return how many keys there are."""
        return self.table.count

    def find(self, key: bytes) -> Found | None:
        """Return where the current value of a key is."""
        for place, mark in self.table.candidates(tag_of(key)):
            file_id, offset = place >> 32, place & OFFSET
            blob = self._data.read(file_id, offset, RECORD.size + len(key) + AHEAD)
            record = unpack_record(blob, offset)
            if record is not None and record.key == key:
                return Found(record, file_id, file_id, mark, blob)
            entry = self._index.entry(file_id, mark, ENTRY.size + len(key))
            if entry is not None and entry.key == key:
                raise self._data.damaged(file_id, offset)
        return None

    def new_key(self, key: bytes) -> bytes:
        """Return the key."""
        if not key:
            raise RefusedError("Invalid argument, key needed")
        return key

    def put(self, record: Record, old: Found | None) -> None:
        """Note a record that was added to the last data file."""
        parent_file, parent_offset = (old.index_file, old.index_offset) if old else NO_PARENT
        key, index = record.key, self._index
        file_id = len(index.files) - 1
        blob = ENTRY.pack(
            len(key), record.offset, record.length, index.previous, 0, file_id,
            record.time, record.crc, parent_file, parent_offset,
        )  # fmt: skip
        self.adopt(record, index.append_packed(blob + key), old)

    def adopt(self, record: Record, mark: int, old: Found | None) -> None:
        """Put a record, whose entry is at `mark` of the last index file, in place of `old`."""
        place = (len(self._data.files) - 1) << 32 | record.offset
        tag = tag_of(record.key)
        if old is None:
            self.table.add(tag, place, mark)
            self.undo.append((self.table.remove, (tag, place)))
            return
        self._flag(old)
        before = place_of(old)
        self.table.replace(tag, before, place, mark)
        self.undo.append((self.table.replace, (tag, place, before, old.index_offset)))

    def remove(self, old: Found) -> None:
        """Note that a key was deleted."""
        self._flag(old)
        tag, place = tag_of(old.record.key), place_of(old)
        self.table.remove(tag, place)
        self.undo.append((self.table.add, (tag, place, old.index_offset)))

    def load(self, file_id: int, mark: int, offset: int, key: bytes) -> int:
        """Add an entry of the index whose key may be there already, without its flag after a crash.

        Return the length of the value that is no longer the current one.
        """
        tag, old = tag_of(key), self.find(key)
        if old is not None:
            self._flag(old)
            self.table.remove(tag, place_of(old))
            self.undo.clear()
        self.table.add(tag, file_id << 32 | offset, mark)
        return old.record.length if old is not None else 0

    def begin_file(self) -> None:
        """Do nothing: a place says which file it is in."""

    def memory(self) -> int:
        """Return how many bytes the keys take in memory, about."""
        return self.table.memory()

    def _flag(self, old: Found) -> None:
        place = old.index_file << 32 | old.index_offset
        self._index.flag(old.index_file, old.index_offset)
        self.undo.append((self._index.changes.flagged.discard, (place,)))


def place_of(found: Found) -> int:
    """Return where a record is, as the table has it."""
    return found.data_file << 32 | found.record.offset
