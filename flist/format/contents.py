"""What is in a flist of either format, as upstream's hub and zflist list it.

The flist is read directory by directory, so memory does not depend on its size.
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flist.format.checker import MAX_PATHS_BYTES, count_path
from flist.format.opening import AnyFlist
from flist.model import ROOT_INO, Inode

BATCH = 1000


class Counts(NamedTuple):
    """Numbers of entries by kind, without the root; those that could not be packed; and the sum of
    the files' sizes in bytes, where each hard link counts."""

    regular: int = 0
    symlink: int = 0
    directory: int = 0
    special: int = 0
    failure: int = 0
    fullsize: int = 0

    def plus(self, inode: Inode) -> "Counts":
        """Return the numbers with one entry more."""
        if inode.is_file:
            return self._replace(regular=self.regular + 1, fullsize=self.fullsize + inode.size)
        if inode.is_dir:
            return self._replace(directory=self.directory + 1)
        if inode.is_link:
            return self._replace(symlink=self.symlink + 1)
        return self._replace(special=self.special + 1)


def count_entries(inodes: Iterable[Inode]) -> Counts:
    """Return the numbers of some entries."""
    counts = Counts()
    for inode in inodes:
        if inode.ino != ROOT_INO:
            counts = counts.plus(inode)
    return counts


def as_build_answer(counts: Counts) -> dict[str, object]:
    """Return what upstream's hub says about a flist that it has built."""
    return {"success": True, "error": None, "response": counts._asdict(), "status": 0}


def walk_contents(flist: AnyFlist) -> Iterator[tuple[bytes, Inode]]:
    """Yield (path, inode) of every entry below the root, a directory before its entries.

    Raises `FormatError`.
    """
    pending = [entries_of(flist, b"", ROOT_INO)]
    left = MAX_PATHS_BYTES
    while pending:
        found = next(pending[-1], None)
        if found is None:
            pending.pop()
            continue
        path, inode = found
        left = count_path(left, path)
        yield path, inode
        if inode.is_dir:
            pending.append(entries_of(flist, path, inode.ino))


def entries_of(flist: AnyFlist, path: bytes, folder: int) -> Iterator[tuple[bytes, Inode]]:
    """Yield (path, inode) of the entries of a directory; few of them are read at a time."""
    last = 0
    while entries := flist.entries_after(folder, last, BATCH):
        for entry in entries:
            yield path + b"/" + entry.name, entry
        last = entries[-1].ino


def contents_json(flist: AnyFlist) -> Iterator[str]:
    """Yield the pieces of the JSON with which upstream's hub lists a flist: `content` with path and
    size of each entry, then the numbers of `Counts`.

    A name that is not UTF-8 is shown with replacement characters. Raises `FormatError`.
    """
    counts = Counts()
    separator = '{"content": ['
    for path, inode in walk_contents(flist):
        counts = counts.plus(inode)
        row = {"path": path.decode(errors="replace"), "size": inode.size}
        yield separator + json.dumps(row)
        separator = ", "
    start = separator if not any(counts) else ""
    yield start + "], " + json.dumps(counts._asdict())[1:]


def block_ids(flist: AnyFlist) -> Iterator[bytes]:
    """Yield the id of every block that a flist names, each once."""
    seen: set[bytes] = set()
    for _, block in flist.all_blocks():
        if block.id not in seen:
            seen.add(block.id)
            yield block.id
