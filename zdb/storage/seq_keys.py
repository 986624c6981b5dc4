"""Mode seq: keys are numbers, and a number says where its index entry is. Nothing is in memory.

Every entry of the index has a number, also the copy of an older version that an update appends;
such numbers are never handed out.
"""

from zdb.errors import RefusedError
from zdb.format.data import Record
from zdb.format.index import DELETED, HEADER, SEQ_ENTRY, SEQ_KEY, Entry
from zdb.storage.data_files import DataFiles
from zdb.storage.index_files import IndexFiles, Numbers
from zdb.storage.keys import Found, Undo


class SeqKeys:
    """The keys of a namespace in mode seq."""

    def __init__(self, data: DataFiles, index: IndexFiles) -> None:
        self.live = 0
        self.numbers = Numbers()
        self.undo: Undo = []
        self._data = data
        self._index = index

    @property
    def count(self) -> int:
        """Return how many keys there are."""
        return self.live

    def place(self, key: bytes) -> tuple[int, int] | None:
        """Return index file and offset of a number's entry; None if it was never handed out."""
        if len(key) != SEQ_KEY:
            return None
        number = int.from_bytes(key, "little")
        if number >= self.numbers.next:
            return None
        file_id = self.numbers.file_of(number)
        return file_id, HEADER.size + SEQ_ENTRY * (number - self.numbers.first[file_id])

    def find(self, key: bytes) -> Found | None:
        """Return where the current value of a number is."""
        found = self.any(key)
        return found if found and not found.record.is_deletion else None

    def any(self, key: bytes) -> Found | None:
        """Return the entry of a number, also one that is deleted."""
        place = self.place(key)
        entry = self._index.entry(*place, SEQ_ENTRY) if place else None
        if place is None or entry is None or entry.key != key:
            return None
        record = record_of(entry)
        return Found(record, entry.data_file, *place, b"")

    def new_key(self, key: bytes) -> bytes:
        """Return the next number; a client can't choose one."""
        if key:
            raise RefusedError("Invalid key, only update authorized")
        return self.numbers.next.to_bytes(SEQ_KEY, "little")

    def put(self, record: Record, old: Found | None) -> None:
        """Note a record that was added to the last data file."""
        self.undo.append((setattr, (self.numbers, "next", self.numbers.next)))
        self.undo.append((setattr, (self, "live", self.live)))
        self.numbers.next += 1
        if old is None:
            self._index.append(self.fresh_entry(record))
            self.live += 1
            return
        before = self._index.entry(old.index_file, old.index_offset, SEQ_ENTRY)
        if before is not None:
            copy = self._index.append(before._replace(flags=before.flags | DELETED))
            self.overwrite(record, old, copy)

    def overwrite(self, record: Record, old: Found, copy: int) -> None:
        """Put a record into the entry of its number; the version before is at `copy`."""
        where = old.index_file, old.index_offset
        before = self._index.entry(*where, SEQ_ENTRY)
        entry = self._entry(record, self._index.current_id, copy)
        self.undo.append(self._index.undo_of_patch(*where))
        self._index.patch(*where, entry._replace(previous=before.previous if before else 0))

    def remove(self, old: Found) -> None:
        """Note that a number was deleted."""
        where = old.index_file, old.index_offset
        entry = self._index.entry(*where, SEQ_ENTRY)
        if entry is None:
            return
        self.undo.append(self._index.undo_of_patch(*where))
        self.undo.append((setattr, (self, "live", self.live)))
        self._index.patch(*where, entry._replace(flags=entry.flags | DELETED))
        self.live -= 1

    def begin_file(self) -> None:
        """Note that a next index file was begun."""
        self.numbers.first.append(self.numbers.next)

    def memory(self) -> int:
        """Return how many bytes the keys take in memory, about."""
        return 8 * len(self.numbers.first)

    def fresh_entry(self, record: Record) -> Entry:
        """Return the entry of a number's first version, but for `previous`."""
        return self._entry(record, 0, 0)

    def _entry(self, record: Record, parent_file: int, parent_offset: int) -> Entry:
        file_id = self._data.current_id
        return Entry(
            *(record.offset, record.length, 0, 0, file_id, record.time, record.crc),
            *(parent_file, parent_offset, record.key),
        )


def record_of(entry: Entry) -> Record:
    """Return the record that an index entry describes."""
    return Record(
        entry.offset, entry.key, entry.length, 0, entry.crc, entry.flags & DELETED, entry.time
    )
