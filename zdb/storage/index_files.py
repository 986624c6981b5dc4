"""The index files of a namespace, with changes to older entries that are still in memory.

An entry is appended at once. A change to an older entry (in mode user a flag, in mode seq a whole
entry) goes to the disk with the next checkpoint only, after all appended entries survive a power
failure: so no flag on the disk can be newer than the entry that explains it.
"""

from bisect import bisect_right
from pathlib import Path

from zdb.errors import DamagedError
from zdb.format.index import (
    DELETED,
    ENTRY,
    FLAGS_AT,
    HEADER,
    Entry,
    file_name,
    pack_header,
    read_header,
    unpack_entry,
)
from zdb.storage.files import Handles, LogFile
from zdb.values import MAX_KEY

ENTRY_MAX = ENTRY.size + MAX_KEY
CHUNK = 1 << 16
OFFSET = 0xFFFFFFFF


class IndexFiles:
    """All index files; entries are added to the last one."""

    def __init__(self, folder: Path, handles: Handles) -> None:
        self.folder = folder
        self.previous = 0  # the offset of the last entry
        self.files: list[LogFile] = []
        self.last: list[int] = []  # by file: the offset of its last entry, 0 without entries
        self.flagged: set[int] = set()  # places of entries that are deleted now
        self.patches: dict[tuple[int, int], Entry] = {}
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

    @property
    def changes(self) -> int:
        """Return how many changes to older entries are in memory."""
        return len(self.flagged) + len(self.patches)

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
        if self.flagged and file_id << 32 | offset in self.flagged:
            return entry._replace(flags=entry.flags | DELETED)
        return self.patches.get((file_id, offset), entry) if self.patches else entry

    def flag(self, file_id: int, offset: int) -> None:
        """Say that an entry is deleted."""
        self.flagged.add(file_id << 32 | offset)
        self.dirty.add(file_id)

    def patch(self, file_id: int, offset: int, entry: Entry) -> None:
        """Change an entry."""
        self.patches[file_id, offset] = entry
        self.dirty.add(file_id)

    def unpatch(self, file_id: int, offset: int, entry: Entry | None) -> None:
        """Take a change back; `entry` is the one before it, if any."""
        if entry is None:
            self.patches.pop((file_id, offset), None)
        else:
            self.patches[file_id, offset] = entry

    def write_changes(self) -> None:
        """Write all changes over the older entries, and make that survive a power failure."""
        flag, write = [bytes([DELETED])], self._handles.disk.pwritev
        for place in sorted(self.flagged):
            write(self.files[place >> 32].handle, flag, (place & OFFSET) + FLAGS_AT)
        for (file_id, offset), entry in self.patches.items():
            self.files[file_id].overwrite(offset, entry.pack())
        changed = {place >> 32 for place in self.flagged} | {file_id for file_id, _ in self.patches}
        for file_id in changed:
            self.files[file_id].sync()
        self.flagged.clear()
        self.patches.clear()

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
