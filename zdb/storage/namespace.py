"""One namespace: its settings, its keys and its files."""

from dataclasses import replace
from pathlib import Path

from common.files import sync_directory, write_atomic
from zdb.errors import DamagedError, RefusedError, WriteError, ZdbError
from zdb.format import namespace as descriptor
from zdb.format.data import Record, checksum
from zdb.format.index import CURSOR
from zdb.format.namespace import Descriptor
from zdb.storage.checkpointing import Checkpointer
from zdb.storage.data_files import DataFiles
from zdb.storage.files import Handles, reason
from zdb.storage.index_files import IndexFiles
from zdb.storage.keys import Found, Keys
from zdb.storage.seq_keys import SeqKeys
from zdb.storage.settings import ALWAYS, NEVER, StoreSettings
from zdb.storage.syncing import Syncer
from zdb.storage.user_keys import UserKeys
from zdb.values import SEQ, USER


class Namespace:
    """What is done to a namespace. Changes are in memory until `commit`; readers see them at once.

    `locked` and `frozen` are kept for the server, which refuses what they forbid; so are `worm`,
    `public` and `password`.
    """

    def __init__(
        self,
        name: str,
        data: Path,
        index: Path,
        settings: StoreSettings,
        handles: Handles,
        syncer: Syncer | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.descriptor = Descriptor(name, maxsize=settings.maxsize)
        self.locked = False
        self.frozen = False
        self.mode = settings.mode if settings.mode == SEQ else USER
        self._handles = handles
        self._checkpointer = Checkpointer(handles.disk, syncer or Syncer(), settings.log)
        self.data = DataFiles(data, handles)
        self.index = IndexFiles(index, handles)
        self.keys: Keys = self.make_keys()
        self.data_bytes = 0  # of all current values
        self.write_errors = 0
        self.last_error = 0.0
        self.unsynced_since: float | None = None
        self.incarnation = ""
        self.version = 0  # counts commits and changes of settings
        self.touched: set[Namespace] = set()  # which a store commits: changed, or failed
        self._failed = False  # since the last commit
        self._failed_at: float | None = None  # until something was written again
        self._changed = False
        self._saved = (0, 0, 0, 0)

    def make_keys(self) -> Keys:
        """Return empty keys of the namespace's mode."""
        return (SeqKeys if self.mode == SEQ else UserKeys)(self.data, self.index)

    # What it is.

    @property
    def entries(self) -> int:
        """Return how many keys there are."""
        return self.keys.count

    @property
    def index_bytes(self) -> int:
        """Return how many bytes the keys take in memory, about."""
        return self.keys.memory()

    @property
    def password(self) -> bytes:
        """Return the password; empty if there is none."""
        return self.descriptor.password

    @property
    def public(self) -> bool:
        """Return whether anybody may read."""
        return self.descriptor.public

    @property
    def worm(self) -> bool:
        """Return whether values may neither be replaced nor deleted."""
        return self.descriptor.worm

    @property
    def maxsize(self) -> int:
        """Return how many bytes all values may have; 0: any number."""
        return self.descriptor.maxsize

    @property
    def next_id(self) -> int:
        """Return the next number that mode seq hands out; in mode user, how many keys there are."""
        return self.keys.numbers.next if isinstance(self.keys, SeqKeys) else self.keys.count

    @property
    def is_fresh(self) -> bool:
        """Return whether nothing was ever written."""
        return self.data.current_id == 0 and self.index.last[0] == 0 and not self._changed

    def change(self, **changes: object) -> None:
        """Change `password`, `public`, `worm` or `maxsize`, on the disk, too."""
        wanted = replace(self.descriptor, **changes)  # type: ignore[arg-type]
        self.write(wanted)
        self.descriptor = wanted
        self.version += 1

    def save(self) -> None:
        """Write the descriptor."""
        self.write(self.descriptor)

    def write(self, wanted: Descriptor) -> None:
        """Write a descriptor, whole or not at all."""
        write_atomic(self.index.folder / descriptor.NAME, wanted.pack(), 0o600)

    # Reading.

    def entry(self, key: bytes) -> Found | None:
        """Return where the current value of a key is, and its length, time and checksum."""
        return self.keys.find(key) if key else None

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key; raise `DamagedError` if its checksum is wrong."""
        found = self.keys.find(key) if key else None
        return None if found is None else self.value(found)

    def value(self, found: Found) -> bytes:
        """Return the value of what `entry` has found."""
        try:
            return self.data.value(found.data_file, found.record, found.blob)
        except DamagedError:
            if found.data_file == found.index_file:
                raise
            return self._value_beside(found)

    def _value_beside(self, found: Found) -> bytes:
        """Return a value from the data file with the number of the index file.

        Upstream may have written 0 as the data file of a first version.
        """
        record = self.data.record(found.index_file, found.record.offset)
        if record is None or record.key != found.record.key:
            raise self.data.damaged(found.data_file, found.record.offset)
        return self.data.value(found.index_file, record)

    def cursor(self, key: bytes) -> bytes | None:
        """Return where `scan` is at a key, 17 bytes as upstream has them."""
        found = self.entry(key)
        if found is None:
            return None
        record = found.record
        return CURSOR.pack(
            len(key), found.index_file, record.length, found.index_offset, record.crc
        )

    # Writing.

    def set(self, key: bytes, value: bytes, time: int | None = None) -> bytes | None:
        """Set a value and return its key; None if it is the value already.

        An empty key in mode seq asks for a new number.
        """
        old = self.keys.find(key) if key else None
        if self.descriptor.maxsize:
            self._check_quota(value, old)
        if old is None:
            key = self.keys.new_key(key)
        crc = checksum(value)
        if old is not None and self._is_same(old, value, crc):
            return None
        self._make_room(key, value)
        stamp = int(self.settings.clock()) if time is None else time
        offset = self.data.append(key, value, crc, stamp)
        self.keys.put(Record(offset, key, len(value), 0, crc, 0, stamp), old)
        self.data_bytes += len(value) - (old.record.length if old else 0)
        self._note_change()
        return key

    def delete(self, key: bytes, time: int | None = None) -> bool:
        """Delete a key; return whether it was there."""
        old = self.keys.find(key) if key else None
        if old is None:
            return False
        self._make_room(key, b"")
        stamp = int(self.settings.clock()) if time is None else time
        self.data.append_deletion(key, stamp)
        self.keys.remove(old)
        self.data_bytes -= old.record.length
        self._note_change()
        return True

    def _note_change(self) -> None:
        self._changed = True
        self.touched.add(self)

    def _check_quota(self, value: bytes, old: Found | None) -> None:
        room = self.maxsize + (old.record.length if old else 0)
        if self.data_bytes + len(value) > room:
            raise RefusedError("No space left on this namespace")

    def _is_same(self, old: Found, value: bytes, crc: int) -> bool:
        record = old.record
        if record.crc != crc or record.length != len(value):
            return False
        try:
            return self.value(old) == value
        except DamagedError:
            return False

    def _make_room(self, key: bytes, value: bytes) -> None:
        """Refuse while the disk fails; begin the next files if the record needs it."""
        if self._failed_at is not None and self.is_failing:
            raise WriteError
        if not self.data.has_room(key, value, self.settings.file_size):
            self.jump()

    def _is_waiting(self, since: float) -> bool:
        return 0 <= self.settings.clock() - since < self.settings.retry_s

    # To the disk.

    def commit(self, now: float) -> bool:
        """Write what was changed; return False if that, or anything since the last commit, failed.

        After a failure none of those changes is left, in memory or on the disk.
        """
        if self._changed and not self._failed:
            try:
                self._write_out(now)
            except (OSError, ZdbError) as error:
                self._fail(error, now)
        failed, self._failed = self._failed, False
        return not failed

    def _write_out(self, now: float) -> None:
        self.data.current.write_out()
        self.index.current.write_out()
        if self.settings.sync == ALWAYS:
            self.data.current.sync()
        elif self.settings.sync != NEVER and self.unsynced_since is None:
            self.unsynced_since = now
        self.settle()
        if self._checkpointer.is_due(self.data, self.index):
            self._checkpointer.begin(self.data, self.index)

    def settle(self) -> None:
        """Note that all changes are on the disk."""
        self.data.current.settle()
        self.index.current.settle()
        self.keys.undo.clear()
        index = self.index
        self._saved = (self.data.previous, index.previous, index.last[-1], self.data_bytes)
        self._changed = False
        self._failed_at = None
        self.version += 1

    def sync(self) -> None:
        """Make all that was committed survive a power failure."""
        self.data.current.sync()
        self.unsynced_since = None

    def _fail(self, error: OSError | ZdbError, now: float) -> None:
        self.settings.log(f"namespace {self.name}: cannot write: {reason(error)}")
        self.write_errors += 1
        self._failed = True
        self.touched.add(self)
        for function, arguments in reversed(self.keys.undo):
            function(*arguments)
        self.keys.undo.clear()
        index = self.index
        self.data.previous, index.previous, index.last[-1], self.data_bytes = self._saved
        for file in (self.data.current, index.current):
            try:
                file.drop()
            except (OSError, ZdbError) as again:
                self.settings.log(f"cannot cut back {file.path}: {reason(again)}")
        self._changed = False
        self.last_error = self._failed_at = now

    def try_checkpoint(self) -> None:
        """Make a checkpoint; a failure is logged, and the next one does its work."""
        try:
            self.checkpoint()
        except (OSError, ZdbError) as error:
            self.settings.log(f"namespace {self.name}: no checkpoint: {reason(error)}")

    def checkpoint(self) -> None:
        """Bring the index on the disk up to date and note how far it goes."""
        self._checkpointer.make(self.data, self.index)
        self.unsynced_since = None

    def touch(self) -> None:
        """Note that there is something to commit."""
        self._changed = True
        self.touched.add(self)

    @property
    def is_failing(self) -> bool:
        """Return whether the disk has refused a write just now."""
        return self._failed_at is not None and (self._failed or self._is_waiting(self._failed_at))

    def jump(self, created: int | None = None) -> None:
        """Begin the next data file and the next index file, made now or at `created`."""
        now = self.settings.clock()
        try:
            if self._changed:
                self._write_out(now)
            self.checkpoint()
            self.begin_files(int(now) if created is None else created)
        except (OSError, ZdbError) as error:
            self._fail(error, now)
            raise WriteError from error
        self.settle()
        self.settings.jumped(self.name)

    def begin_files(self, created: int) -> None:
        """Make a data file and an index file with the next number, with their headers."""
        count = len(self.data.files)
        try:
            self.data.create(created)
            self.index.create(created, self.mode)
            for file in (self.data.current, self.index.current):
                file.write_out()
                file.settle()
                file.sync()
                sync_directory(file.path.parent)
        except OSError:
            for files in (self.data.files[count:], self.index.files[count:]):
                for file in files:
                    file.close()
                    file.path.unlink(missing_ok=True)
            del self.data.files[count:], self.index.files[count:], self.index.last[count:]
            raise
        self.keys.begin_file()
        self._checkpointer.done_at = 0

    def start_over(self) -> None:
        """Forget all files and keys; the files themselves stay as they are."""
        self.data = DataFiles(self.data.folder, self._handles)
        self.index = IndexFiles(self.index.folder, self._handles)
        self.data_bytes = 0
        self.keys = self.make_keys()
        self._changed = False

    def close_files(self) -> None:
        """Close all files; what was not committed is lost."""
        for file in (*self.data.files, *self.index.files):
            file.close()
