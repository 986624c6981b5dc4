"""Opening a namespace: its files, its keys, and what the index lacks.

The data files say what there is. Up to the checkpoint the index is loaded as it is; what comes
after is read from the data, in order, and entries that the index lacks are added. If there is no
index, or it does not fit, all of it is made from the data, by the same steps from the beginning.
"""

import os
import re
import stat
import time
from pathlib import Path

from zdb.errors import DamagedError, VersionError, ZdbError
from zdb.format import data as data_format
from zdb.format import index as index_format
from zdb.format.data import Record
from zdb.storage import checkpoint, incarnation
from zdb.storage.changes import Changes
from zdb.storage.checkpoint import Checkpoint
from zdb.storage.filling import load_seq, load_user
from zdb.storage.namespace import Namespace
from zdb.storage.replay import Replay
from zdb.storage.seq_keys import SeqKeys
from zdb.storage.user_keys import UserKeys
from zdb.storage.walk import Damage, walk
from zdb.values import MODES

MAX_FILES = 1 << 20
TOLD_S = 2.0


def load(namespace: Namespace) -> None:
    """Open a namespace; make its first files if there are none."""
    data_ids = file_ids(namespace.data.folder, "d")
    index_ids = file_ids(namespace.index.folder, "i")
    if not data_ids and not index_ids:
        namespace.begin_files(int(namespace.settings.clock()))
        namespace.settle()
        namespace.checkpoint()
        namespace.incarnation = incarnation.read_or_make(namespace.index.folder)
        return
    drop_empty_end(namespace, data_ids, index_ids)
    count = max((*data_ids, *index_ids)) + 1
    began = time.monotonic()
    Loader(namespace, data_ids, index_ids, count).load()
    taken = time.monotonic() - began
    if taken > TOLD_S:
        namespace.settings.log(
            f"namespace {namespace.name}: {namespace.entries} keys, opened in {taken:.0f} s"
        )
    namespace.incarnation = incarnation.read_or_make(namespace.index.folder)


def file_ids(folder: Path, letter: str) -> set[int]:
    """Return the numbers of the files in a folder."""
    pattern = re.compile(rf"{letter}(0|[1-9][0-9]{{0,6}})")
    found = {int(match[1]) for file in folder.iterdir() if (match := pattern.fullmatch(file.name))}
    if found and max(found) >= MAX_FILES:
        raise ZdbError(f"cannot use {folder}: {letter}{max(found)} is no file of this namespace")
    return found


def drop_empty_end(namespace: Namespace, data_ids: set[int], index_ids: set[int]) -> None:
    """Remove a last file that a crash has left without a header; it is begun again when needed."""
    last = max((*data_ids, *index_ids))
    data = namespace.data.folder / data_format.file_name(last)
    if not last or last not in data_ids or data.lstat().st_size >= data_format.HEADER.size:
        return
    namespace.settings.log(f"{data} has not even a header: it is removed")
    for ids, path in (
        (data_ids, data),
        (index_ids, namespace.index.folder / index_format.file_name(last)),
    ):
        if last in ids:
            remove_regular(path)
            ids.discard(last)


class Loader:
    """Opens one namespace that has files."""

    def __init__(
        self, namespace: Namespace, data_ids: set[int], index_ids: set[int], count: int
    ) -> None:
        self.namespace = namespace
        self.data_ids = data_ids
        self.index_ids = index_ids
        self.count = count
        self.log = namespace.settings.log

    def load(self) -> None:
        """Load what the index has, and read the rest from the data."""
        self.learn_mode()
        start = self.start()
        if start is not None:
            try:
                self.load_index(start)
            except DamagedError as error:
                self.log(f"{error.message}: the index is made anew from the data")
                start = None
        if start is None:
            self.begin_anew()
            start = Checkpoint(0, data_format.HEADER.size, 0, index_format.HEADER.size)
        self.replay(start)

    def learn_mode(self) -> None:
        """Take the mode from the first index file that can be read, else from the keys."""
        namespace = self.namespace
        for file_id in sorted(self.index_ids):
            head = namespace.index.folder / index_format.file_name(file_id)
            try:
                mode = index_format.read_header(read_head(head), file_id, str(head))
            except (OSError, DamagedError):
                continue
            self.set_mode(mode)
            return
        if namespace.settings.mode not in MODES:
            self.set_mode(self.guess_mode())

    def guess_mode(self) -> str:
        """Return `seq` if all keys of the first data file can be numbers, else `user`."""
        namespace = self.namespace
        file = namespace.data.add()
        try:
            file.open()
            keys = [
                item.key
                for item in walk(file, data_format.HEADER.size, None, verify=False)
                if isinstance(item, Record)
            ]
        except (OSError, DamagedError):
            keys = []
        finally:
            namespace.data.files.clear()
            file.close()
        return "seq" if keys and is_numbered(keys) else "user"

    def set_mode(self, mode: str) -> None:
        """Begin with empty keys of a mode."""
        self.namespace.mode = mode
        self.namespace.keys = self.namespace.make_keys()

    def start(self) -> Checkpoint | None:
        """Return up to where the index can be trusted; None if it can't."""
        if self.index_ids != set(range(len(self.index_ids))) or not self.index_ids:
            return None
        folder = self.namespace.index.folder
        found = checkpoint.read(folder)
        if found is not None:
            return found if self.fits(found) else None
        if (folder / checkpoint.NAME).exists():
            return None
        return self.end_of_index()

    def fits(self, found: Checkpoint) -> bool:
        """Return whether the files are at least as long as the checkpoint says."""
        if found.file_id not in self.data_ids or found.file_id not in self.index_ids:
            return False
        data = self.namespace.data.folder / data_format.file_name(found.file_id)
        index = self.namespace.index.folder / index_format.file_name(found.file_id)
        return (
            data_format.HEADER.size <= found.data_length <= data.lstat().st_size
            and index_format.HEADER.size <= found.index_length <= index.lstat().st_size
        )

    def end_of_index(self) -> Checkpoint | None:
        """Return how far the index of a program without checkpoints goes: to its last entry."""
        file_id = max(self.index_ids)
        folder = self.namespace.index.folder
        size = (folder / index_format.file_name(file_id)).lstat().st_size
        return Checkpoint(file_id, -1, 0, size) if file_id in self.data_ids else None

    def begin_anew(self) -> None:
        """Remove the index, and forget what was loaded."""
        namespace = self.namespace
        namespace.close_files()
        checkpoint.remove(namespace.index.folder)
        for file_id in self.index_ids:
            remove_regular(namespace.index.folder / index_format.file_name(file_id))
        self.index_ids = set()
        for files in (namespace.data.files, namespace.index.files, namespace.index.last):
            files.clear()
        namespace.index.changes = Changes()
        namespace.index.previous = namespace.data_bytes = 0
        namespace.keys = namespace.make_keys()

    def open_files(self, file_id: int) -> None:
        """Open the data file and the index file with the next number; make the index if need be."""
        data, index = self.namespace.data, self.namespace.index
        file = data.add()
        created = int(self.namespace.settings.clock())
        if file_id not in self.data_ids:
            self.log(f"{file.path} is missing: what it had can't be read")
        else:
            file.open()
            self.mend_head(file_id, created)
            created = self.created(file_id, created)
        if file_id not in self.index_ids:
            index.create(created, self.namespace.mode)
            index.current.write_out()
            index.current.settle()
        else:
            index.add().open()
            if index.mode(file_id) != self.namespace.mode:
                raise DamagedError(f"{index.current.path} is of another mode than i0")
        self.namespace.keys.begin_file()

    def created(self, file_id: int, otherwise: int) -> int:
        """Return when a data file was made; go on if only its header is damaged."""
        try:
            return self.namespace.data.created(file_id)
        except VersionError:
            raise
        except DamagedError as error:
            self.log(f"{error.message}; its records are used")
            return otherwise

    def mend_head(self, file_id: int, created: int) -> None:
        """Write the header of a last data file that a crash has left without one."""
        file = self.namespace.data.files[file_id]
        if file.length < data_format.HEADER.size and file_id == self.count - 1:
            self.log(f"{file.path} ends within its header, which is written anew")
            file.cut(0)
            file.append(data_format.pack_header(created, file_id))
            file.write_out()
            file.settle()

    def load_index(self, start: Checkpoint) -> None:
        """Load the entries up to a checkpoint."""
        namespace = self.namespace
        for file_id in range(start.file_id + 1):
            self.open_files(file_id)
            end = start.index_length if file_id == start.file_id else namespace.index.current.length
            if isinstance(namespace.keys, UserKeys):
                load_user(namespace, namespace.keys, file_id, end)
            elif isinstance(namespace.keys, SeqKeys):
                load_seq(namespace, namespace.keys, end)

    def replay(self, start: Checkpoint) -> None:
        """Read the data behind a checkpoint."""
        namespace = self.namespace
        replay = Replay(namespace)
        for file_id in range(start.file_id, self.count):
            is_first = file_id == start.file_id
            if file_id >= len(namespace.data.files):
                self.drop_bad_index(file_id)
                self.open_files(file_id)
            offset = data_format.HEADER.size
            if is_first:
                offset = self.begin_at(start)
            if file_id in self.data_ids:
                at = start.index_length if is_first else index_format.HEADER.size
                self.replay_file(replay, file_id, offset, at)
            else:
                replay.lost_bytes += namespace.settings.file_size
        replay.finish()
        if replay.count or start.data_length < 0:
            self.log(f"namespace {namespace.name}: {replay.count} records were read from the data")
        namespace.try_checkpoint()

    def drop_bad_index(self, file_id: int) -> None:
        """Remove an index file behind the checkpoint whose header did not get to the disk."""
        path = self.namespace.index.folder / index_format.file_name(file_id)
        if file_id in self.index_ids:
            try:
                index_format.read_header(read_head(path), file_id, str(path))
            except DamagedError:
                remove_regular(path)
                self.index_ids.discard(file_id)

    def begin_at(self, start: Checkpoint) -> int:
        """Return where the data goes on behind a checkpoint, or behind the last index entry."""
        namespace = self.namespace
        namespace.data.previous = start.previous
        if start.data_length >= 0:
            return start.data_length
        last = namespace.index.last[start.file_id]
        entry = namespace.index.entry(start.file_id, last) if last else None
        record = namespace.data.record(start.file_id, entry.offset) if entry else None
        if record is None:
            return data_format.HEADER.size
        namespace.data.previous = record.offset
        return record.end

    def replay_file(self, replay: Replay, file_id: int, offset: int, at: int) -> None:
        """Read the data of one file from `offset` on; its next index entry is at `at`."""
        namespace = self.namespace
        file = namespace.data.files[file_id]
        replay.begin(at)
        is_begun = offset > data_format.HEADER.size
        for item in walk(file, offset, namespace.data.previous if is_begun else None):
            if isinstance(item, Record):
                replay.take(item)
                replay.tidy()
            elif item.record is not None:
                self.log(f"{file.path}: the value at {item.offset} is damaged")
                replay.take(item.record)
            elif item.is_tail and file_id == self.count - 1:
                self.cut_tail(file_id, item)
            else:
                size = item.end - item.offset
                self.log(f"{file.path}: {size} bytes at {item.offset} are damaged")
                replay.lost_bytes += size
        replay.end()

    def cut_tail(self, file_id: int, damage: Damage) -> None:
        """Cut off what a crash has left half-written."""
        file = self.namespace.data.files[file_id]
        size = damage.end - damage.offset
        keep = self.namespace.settings.keep_torn
        kept = ""
        if keep is not None:
            path = keep / f"{self.namespace.name}-d{file_id}-{damage.offset}"
            path.write_bytes(file.read(damage.offset, size))
            kept = f"; kept in {path}"
        self.log(f"{file.path}: cut off {size} torn bytes at {damage.offset}{kept}")
        file.cut(damage.offset)


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file, which must be a regular one."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.pread(handle, index_format.HEADER.size, 0)
    finally:
        os.close(handle)


def remove_regular(path: Path) -> None:
    """Remove a file; raise `ZdbError` if it is none, which nobody expects there."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ZdbError(f"cannot use {path}: not a regular file", hint="move it away")
    path.unlink()


def is_numbered(keys: list[bytes]) -> bool:
    """Return whether keys can be those of mode seq: numbers that grow, or came before."""
    return all(
        len(key) == index_format.SEQ_KEY and int.from_bytes(key, "little") <= slots
        for slots, key in enumerate(keys)
    )
