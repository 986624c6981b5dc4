"""Guesses from the place and the name of a file which files will be read after it."""

from collections.abc import Iterable, Iterator
from itertools import islice

from flist.model import ROOT_INO, Inode
from flist.mount.tree import Tree

SMALL_BYTES = 128 * 1024
FAMILY_BYTES = 8 << 20
"""Plain bytes of the neighbours of one file."""
FOLDER_BYTES = 256 * 1024
"""A directory beside the file's own is fetched as a whole if it has no more than this."""
MAX_FOLDERS = 128
MAX_NEXT = 1024


def is_program(inode: Inode) -> bool:
    """Return whether a file is probably a program or a library."""
    return bool(inode.mode & 0o111) or inode.name.endswith(b".so") or b".so." in inode.name


def is_small(inode: Inode) -> bool:
    """Return whether a round trip is most of the time of fetching a file."""
    return inode.is_file and 0 < inode.size <= SMALL_BYTES


def choose_neighbours(tree: Tree, inode: Inode) -> Iterator[Inode]:
    """Yield the files that may be read after the small file `inode`, likely ones first.

    These are the small files of its directory. Then, since packages of modules are beside one
    another, small files with its suffix: in directories inside its own, in the directory above, and
    in directories beside its own.
    """
    left = FAMILY_BYTES
    given = {inode.ino}
    for file in list_family(tree, inode):
        if file.ino not in given and file.size <= left:
            given.add(file.ino)
            left -= file.size
            yield file


def list_family(tree: Tree, inode: Inode) -> Iterator[Inode]:
    """Yield the same files without the limit, some of them twice."""
    for entry in list_around(tree, inode):
        if is_small(entry) and not is_program(entry):
            yield entry
    _, dot, suffix = inode.name.rpartition(b".")
    if not dot or inode.parent == ROOT_INO:
        return
    for folder in (inode.parent, tree.inode(inode.parent).parent):
        yield from list_alike(tree, folder, dot + suffix)
        yield from list_folders(tree, folder, dot + suffix)


def list_around(tree: Tree, inode: Inode) -> Iterable[Inode]:
    """Return the entries of the directory of `inode`, those after it first; of a large one only the
    next."""
    if inode.parent in tree.large_folders:
        return islice(tree.following(inode.parent, inode.ino), MAX_NEXT)
    entries = list(tree.entries(inode.parent).values())
    start = next((i for i, entry in enumerate(entries) if entry.ino == inode.ino), 0)
    return entries[start + 1 :] + entries[:start]


def list_alike(tree: Tree, folder: int, suffix: bytes) -> list[Inode]:
    """Return the small files of a directory that have this suffix; none of a large one."""
    if folder in tree.large_folders:
        return []
    entries = tree.entries(folder).values()
    return [file for file in entries if is_small(file) and file.name.endswith(suffix)]


def list_folders(tree: Tree, folder: int, suffix: bytes) -> Iterator[Inode]:
    """Yield such files of all directories in a directory, small directories first."""
    if folder in tree.large_folders:
        return
    folders = [entry.ino for entry in tree.entries(folder).values() if entry.is_dir]
    if len(folders) > MAX_FOLDERS:
        return
    lists = [list_alike(tree, ino, suffix) for ino in folders]
    for files in sorted(lists, key=total):
        if total(files) <= FOLDER_BYTES:
            yield from files


def total(files: list[Inode]) -> int:
    """Return the total size of files."""
    return sum(file.size for file in files)
