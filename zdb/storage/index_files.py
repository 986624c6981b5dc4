"""The index files of a namespace, with changes to older entries that are still in memory.

An entry is appended at once. A change to an older entry (in mode user a flag, in mode seq a whole
entry) goes to the disk with the next checkpoint only, after all appended entries survive a power
failure: so no flag on the disk can be newer than the entry that explains it.
"""

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from zdb.errors import DamagedError
from zdb.format.index import (
    ENTRY,
    HEADER,
    Entry,
    file_name,
    pack_header,
    read_header,
    unpack_entry,
)
from zdb.storage.changes import Changes
from zdb.storage.files import Handles, LogFile
from zdb.values import MAX_KEY

ENTRY_MAX = ENTRY.size + MAX_KEY
CHUNK = 1 << 16


class IndexFiles:
    """All index files; entries are added to the last one."""

    def __init__(self, folder: Path, handles: Handles) -> None:
        self.folder = folder
        self.previous = 0  # the offset of the last entry
        self.files: list[LogFile] = []
        self.last: list[int] = []  # by file: the offset of its last entry, 0 without entries
        self.changes = Changes()
        self.writing = Changes()  # those that a thread writes
        self.dirty: set[int] = set()  # files with entries that were changed
        self._handles = handles

    @property
    def current_id(self) -> int:
        """Return the number of the last file."""
        return len(self.files) - 1

    @property
    def current(self) -> LogFile:
        """Return the last file."""
        return self.files[-1]

    def add(self) -> LogFile:
        """Return a next file that is known, but neither made nor opened."""
        file = LogFile(self.folder / file_name(len(self.files)), self._handles)
        self.files.append(file)
        self.last.append(0)
        return file

    def create(self, created: int, mode: str) -> None:
        """Begin a next file."""
        file_id = len(self.files)
        self.add().create(pack_header(created, file_id, mode))

    def mode(self, file_id: int) -> str:
        """Return the mode in a file's header; raise `DamagedError` if it is no index file."""
        file = self.files[file_id]
        return read_header(file.read(0, HEADER.size), file_id, str(file.path))

    def append(self, entry: Entry) -> int:
        """Add an entry, of which `previous` is filled in, and return its offset."""
        return self.append_packed(entry._replace(previous=self.previous).pack())

    def append_packed(self, blob: bytes) -> int:
        """Add the bytes of an entry and return its offset."""
        offset = self.files[-1].append(blob)
        self.previous = self.last[-1] = offset
        return offset

    def note(self, offset: int) -> None:
        """Note that the last file has an entry at `offset`."""
        self.previous = self.last[-1] = offset

    def entry(self, file_id: int, offset: int, size: int = ENTRY_MAX) -> Entry | None:
        """Return the entry at an offset; None if the file ends before it."""
        if not 0 <= file_id < len(self.files):
            return None
        entry = unpack_entry(self.files[file_id].read(offset, size))
        return entry and self._now(file_id, offset, entry)

    def _now(self, file_id: int, offset: int, entry: Entry) -> Entry:
        """Return an entry as it is with the changes that are in memory."""
        place = file_id << 32 | offset
        if self.writing:
            entry = self.writing.apply(place, entry)
        return self.changes.apply(place, entry) if self.changes else entry

    def flag(self, file_id: int, offset: int) -> None:
        """Say that an entry is deleted."""
        self.changes.flagged.add(file_id << 32 | offset)
        self.dirty.add(file_id)

    def patch(self, file_id: int, offset: int, entry: Entry) -> None:
        """Change an entry."""
        self.changes.patches[file_id << 32 | offset] = entry
        self.dirty.add(file_id)

    def undo_of_patch(
        self, file_id: int, offset: int
    ) -> tuple[Callable[..., object], tuple[object, ...]]:
        """Return what takes the next change of an entry back."""
        place, patches = file_id << 32 | offset, self.changes.patches
        before = patches.get(place)
        return (
            (patches.pop, (place, None)) if before is None else (patches.update, ({place: before},))
        )

    def take_changes(self) -> Changes:
        """Begin to write the changes that are in memory, with those whose writing has failed."""
        self.writing.add(self.changes)
        self.changes = Changes()
        return self.writing

    def write_changes(self) -> None:
        """Write all changes over the older entries."""
        self.take_changes().write(self.files, self._handles.disk)
        self.writing = Changes()

    def chunk(self, file_id: int, offset: int) -> list[tuple[int, Entry]]:
        """Return some entries from `offset` on, with their offsets; none at the end of the file."""
        file, found, at = self.files[file_id], [], 0
        blob = file.read(offset, CHUNK)
        while (entry := unpack_entry(blob, at)) is not None:
            place = offset + at
            found.append((place, self._now(file_id, place, entry)))
            at += entry.size
        if not found and offset < file.end:
            raise DamagedError(f"cannot read {file.path} at {offset}: the entry is cut off")
        return found

    def before(self, file_id: int, offset: int, entry: Entry) -> tuple[int, int] | None:
        """Return file and offset of the entry before the one at `offset`."""
        if offset > HEADER.size:
            return (file_id, entry.previous) if HEADER.size <= entry.previous < offset else None
        while file_id > 0:
            file_id -= 1
            if self.last[file_id]:
                return file_id, self.last[file_id]
        return None


class Numbers:
    """Which file has the entry of a number, in mode seq."""

    def __init__(self) -> None:
        self.first: list[int] = []  # by file: the number of its first entry
        self.next = 0

    def file_of(self, number: int) -> int:
        """Return the file that has the entry of a number that was handed out."""
        return bisect_right(self.first, number) - 1
