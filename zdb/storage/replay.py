"""Reading records from the data into the index, as if they were written just now.

An entry that the index has already is kept; the first one that does not fit, and all behind it, are
made anew.
"""

from zdb.format.data import RECORD, Record
from zdb.format.index import DELETED, ENTRY, SEQ_KEY, Entry
from zdb.storage.namespace import Namespace
from zdb.storage.seq_keys import SeqKeys
from zdb.storage.user_keys import UserKeys

FLUSH_BYTES = 4 << 20
FLUSH_CHANGES = 100_000
SEQ_RECORD = RECORD.size + SEQ_KEY


class Replay:
    """Takes the records of a namespace in order; its files are those of the last one opened."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.count = 0
        self.lost_bytes = 0  # that were damaged, and so may have had records
        self._at = 0

    def begin(self, at: int) -> None:
        """Begin with a file, whose next index entry is at `at`."""
        self._at = at

    def take(self, record: Record) -> None:
        """Take a record of the last data file."""
        namespace = self.namespace
        self.count += 1
        namespace.data.previous = record.offset
        if record.is_deletion:
            self._delete(record)
        elif isinstance(namespace.keys, UserKeys):
            self._put_user(namespace.keys, record)
        elif isinstance(namespace.keys, SeqKeys):
            self._put_seq(namespace.keys, record)

    def tidy(self) -> None:
        """Write what has grown large in memory; what was taken can't be undone then."""
        self.namespace.keys.undo.clear()
        self._flush()

    def end(self) -> None:
        """End a file: what its index has beyond its data is cut off."""
        if self._at < self.namespace.index.current.length:
            self.namespace.index.current.cut(self._at)
        self._write_out()

    def finish(self) -> None:
        """Note that all is on the disk, but for changes to older entries."""
        self.namespace.settle()

    def _delete(self, record: Record) -> None:
        old = self.namespace.keys.find(record.key)
        if old is not None:
            self.namespace.keys.remove(old)
            self.namespace.data_bytes -= old.record.length

    def _put_user(self, keys: UserKeys, record: Record) -> None:
        old = keys.find(record.key)
        entry = self._existing(record)
        if entry is not None and entry[:2] == (record.offset, record.length):
            keys.adopt(record, self._at, old)
            self._keep(entry)
        else:
            self._cut()
            keys.put(record, old)
            self._at = self.namespace.index.current.end
        self.namespace.data_bytes += record.length - (old.record.length if old else 0)

    def _put_seq(self, keys: SeqKeys, record: Record) -> None:
        number = int.from_bytes(record.key, "little")
        gap = number - keys.numbers.next
        if len(record.key) != SEQ_KEY or gap > self.lost_bytes // SEQ_RECORD:
            self.lost_bytes += record.end - record.offset
            file = self.namespace.data.current
            self.namespace.settings.log(f"{file.path}: no number can be at {record.offset}")
        elif gap >= 0:
            self.lost_bytes -= gap * SEQ_RECORD
            for _ in range(gap):
                self._put_gap(keys)
            self._insert_seq(keys, record)
        else:
            self._update_seq(keys, record)

    def _put_gap(self, keys: SeqKeys) -> None:
        """Add a deleted entry for a number whose record is damaged."""
        self._cut()
        key = keys.numbers.next.to_bytes(SEQ_KEY, "little")
        file_id = self.namespace.data.current_id
        self.namespace.index.append(Entry(0, 0, 0, DELETED, file_id, 0, 0, 0, 0, key))
        keys.undo.append((setattr, (keys.numbers, "next", keys.numbers.next)))
        keys.numbers.next += 1
        self._at = self.namespace.index.current.end

    def _insert_seq(self, keys: SeqKeys, record: Record) -> None:
        entry = self._existing(record)
        if entry is None:
            self._cut()
            keys.put(record, None)
            self._at = self.namespace.index.current.end
        else:
            fresh = keys.fresh_entry(record)._replace(previous=entry.previous)
            if entry != fresh:  # a later version, which was written over it, comes again
                self.namespace.index.patch(self.namespace.index.current_id, self._at, fresh)
            self._keep(entry)
            keys.numbers.next += 1
            keys.live += 1
        self.namespace.data_bytes += record.length

    def _update_seq(self, keys: SeqKeys, record: Record) -> None:
        old = keys.any(record.key)
        if old is None:
            return
        entry, copy = self._existing(record), self._at
        was_deleted = old.record.is_deletion
        if entry is not None and entry.is_deleted:
            self._keep(entry)
            keys.numbers.next += 1
            keys.overwrite(record, old, copy)
        else:
            self._cut()
            keys.put(record, old)
            self._at = self.namespace.index.current.end
        keys.live += was_deleted
        self.namespace.data_bytes += record.length - (0 if was_deleted else old.record.length)

    def _existing(self, record: Record) -> Entry | None:
        """Return the index entry at the place where the record's must be, if it has its key."""
        index = self.namespace.index
        if self._at >= index.current.length:
            return None
        entry = index.entry(index.current_id, self._at, ENTRY.size + len(record.key))
        return entry if entry is not None and entry.key == record.key else None

    def _keep(self, entry: Entry) -> None:
        self.namespace.index.note(self._at)
        self._at += entry.size

    def _cut(self) -> None:
        """Cut off the entries that do not fit."""
        if self._at < self.namespace.index.current.length:
            self.namespace.index.current.cut(self._at)

    def _flush(self) -> None:
        index = self.namespace.index
        if index.current.end - index.current.length > FLUSH_BYTES:
            self._write_out()
        if len(index.changes) > FLUSH_CHANGES:
            self._write_out()
            index.current.sync()
            index.write_changes()

    def _write_out(self) -> None:
        self.namespace.index.current.write_out()
        self.namespace.index.current.settle()
