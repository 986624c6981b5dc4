"""Changes to older index entries: kept in memory, then written over the entries at a checkpoint.

While a thread writes some of them, they are still looked up here.
"""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from zdb.errors import DamagedError
from zdb.format.index import DELETED, FLAGS_AT, Entry
from zdb.storage.files import Disk, LogFile

OFFSET = 0xFFFFFFFF
FLAG = bytes([DELETED])


@dataclass
class Changes:
    """Entries that are deleted now (mode user), and entries that have become others (mode seq).

    An entry's place is its file's number, shifted by 32 bits, and its offset.
    """

    flagged: set[int] = field(default_factory=set)
    patches: dict[int, Entry] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.flagged) + len(self.patches)

    def apply(self, place: int, entry: Entry) -> Entry:
        """Return an entry with the changes to it."""
        if place in self.flagged:
            return entry._replace(flags=entry.flags | DELETED)
        return self.patches.get(place, entry)

    def add(self, later: "Changes") -> None:
        """Add later changes."""
        self.flagged |= later.flagged
        self.patches |= later.patches

    def write(self, files: Sequence[LogFile], disk: Disk) -> None:
        """Write all of them, and make that survive a power failure; also in another thread."""
        places = sorted({*self.flagged, *self.patches})
        for file_id, group in itertools.groupby(places, lambda place: place >> 32):
            handle = open_again(files[file_id], disk)
            try:
                for place in group:
                    self._write_one(disk, handle, place)
                disk.sync(handle)
            finally:
                os.close(handle)

    def _write_one(self, disk: Disk, handle: int, place: int) -> None:
        entry = self.patches.get(place)
        offset = place & OFFSET
        if entry is None:
            disk.pwritev(handle, [FLAG], offset + FLAGS_AT)
        else:
            disk.pwritev(handle, [entry.pack()], offset)


def open_again(file: LogFile, disk: Disk) -> int:
    """Return a descriptor of a file that only the caller uses."""
    handle = disk.open(file.path, False, True)
    found = os.fstat(handle)
    if file.identity not in (None, (found.st_dev, found.st_ino)):
        os.close(handle)
        raise DamagedError(f"cannot use {file.path}: it was replaced while it was in use")
    return handle
