"""Directory listings as the kernel reads them, prepared ahead for a walk of the tree.

A walk is depth first, in the order of the listings, so the next directory is known: its listing is
made while the walking process is still busy with the one before.
"""

import contextlib
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from flist.model import ROOT_INO, Inode
from flist.mount.fuse import wire
from flist.mount.fuse.versions import Place
from flist.mount.tree import Tree

MAX_DEPTH = 4096


class Question(NamedTuple):
    """The part of a listing that a request wants: at most `size` bytes, from entry `offset` on."""

    place: Place
    offset: int
    size: int


class Listings:
    """The listings of one connection; for one thread only.

    `tree` returns a version's tree, `fields` the fields of struct fuse_attr of a version's inode.
    `nodes` is the number of nodes in the last answer, which the kernel counts as looked up.
    """

    def __init__(
        self,
        tree: Callable[[int], Tree],
        fields: Callable[[int, Inode], tuple[int, ...]],
    ) -> None:
        self.tree = tree
        self.fields = fields
        self.kept: tuple[Place | None, list[Inode]] = (None, [])
        self.walk: Iterator[Inode] = iter(())
        self.expected: Place | None = None
        self.prepared: tuple[Question | None, bytes, int] = (None, b"", 0)
        self.nodes = 0

    def entries(self, place: Place) -> list[Inode]:
        """Return the entries of a directory; those of the last one are kept."""
        kept, entries = self.kept
        if kept != place:
            entries = list(self.tree(place.version).entries(place.ino).values())
            self.kept = (place, entries)
        return entries

    def answer(self, question: Question) -> bytes:
        """Return as many entries with their attributes as fit; nothing at the end."""
        prepared, data, nodes = self.prepared
        if question != prepared:
            data, nodes = self.make(question)
        self.nodes = nodes
        return data

    def make(self, question: Question) -> tuple[bytes, int]:
        """Return what `answer` does, and the number of nodes in it; it is not prepared yet."""
        place, offset, left = question
        version, fields = place.version, self.fields
        rest = self.following(place, offset, left // wire.DIRENT_PLUS.size)
        pieces = (wire.dirent_plus(fields(version, inode), at, inode.name) for at, inode in rest)
        dots = [wire.dirent_dots(place.nodeid, at, name) for at, name in find_dots(offset)]
        taken = fill(chain(dots, pieces), left)
        return b"".join(taken), max(len(taken) - len(dots), 0)

    def names(self, question: Question) -> bytes:
        """Return as many entries without attributes as fit; nothing at the end."""
        place, offset, left = question
        base = Place(place.version, 0).nodeid
        rest = self.following(place, offset, left // wire.DIRENT.size)
        dots = [wire.dirent(place.nodeid, at, stat.S_IFDIR, name) for at, name in find_dots(offset)]
        pieces = (wire.dirent(i.content_ino | base, at, i.mode, i.name) for at, i in rest)
        return b"".join(fill(chain(dots, pieces), left))

    def following(self, place: Place, offset: int, most: int) -> Iterable[tuple[int, Inode]]:
        """Return the entries after `offset`, each with its own offset; of a large directory only
        `most`, which is as many as can fit.

        The offset of an entry is its place in the directory, or in a large one its inode number, so
        that the listing can go on there although nothing of it is kept.
        """
        first = max(offset - 2, 0)
        tree = self.tree(place.version)
        if place.ino in tree.large_folders:
            found = tree.source.entries_after(place.ino, first, most)
            return ((inode.ino + 2, inode) for inode in found)
        entries = self.entries(place)
        return enumerate(entries[first:] if first else entries, first + 3)

    def foresee(self, question: Question) -> None:
        """Prepare the directory that a walk reaches after the end of this one."""
        place = question.place
        is_walk = place == self.expected
        if not is_walk:
            self.walk = folders(self.tree(place.version), place.ino)
        self.expected = None
        with contextlib.suppress(Exception):  # a request for it will report the error
            for inode in islice(self.walk, 1):
                self.expected = Place(place.version, inode.content_ino)
                if is_walk and inode.ino not in self.tree(place.version).large_folders:
                    coming = Question(self.expected, 0, question.size)
                    self.prepared = (coming, *self.make(coming))


def folders(tree: Tree, ino: int) -> Iterator[Inode]:
    """Yield the directories that a depth-first walk of the whole tree reaches after `ino`."""
    stack = [entries_of(tree, ino, 0)]
    for _ in range(MAX_DEPTH):
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
            elif entry.is_dir:
                yield entry
                if len(stack) < MAX_DEPTH:
                    stack.append(entries_of(tree, entry.ino, 0))
        if ino == ROOT_INO:
            return
        parent = tree.inode(ino).parent
        stack = [entries_of(tree, parent, ino)]
        ino = parent


def entries_of(tree: Tree, folder: int, ino: int) -> Iterator[Inode]:
    """Return the entries of a directory after inode `ino`; none of a large one, which would take
    long to read for a guess."""
    return iter(()) if folder in tree.large_folders else tree.following(folder, ino)


def find_dots(offset: int) -> Iterable[tuple[int, bytes]]:
    """Return `.` and `..`, or what follows `offset`, each with its own offset."""
    return enumerate((b".", b"..")[offset:], offset + 1)


def fill(pieces: Iterable[bytes], left: int) -> list[bytes]:
    """Return as many pieces as fit into `left` bytes."""
    taken = []
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        taken.append(piece)
    return taken
