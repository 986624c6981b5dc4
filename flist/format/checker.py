"""The rules of a whole flist, beside those of each value (`flist.format.rows`).

Without a sound tree nothing uses a flist as a whole. A file with wrong blocks can't be read, but
the others can. Leftovers can't be reached, so `unpack` and a mount do not show them. `verify`
reports all of these.
"""

import os
import stat
from collections.abc import Iterator

from flist.errors import FormatError
from flist.format.opening import AnyFlist
from flist.format.tables import Tables, read_tables
from flist.model import NO_META, ROOT_INO, Inode, chunk_count

MAX_PATHS_BYTES = 1 << 30
"""All paths of a flist together. In a tree of deep directories they take far more than the names:
20,000 directories in one another, 11 MB of names, have 50 GB of paths."""


def load_tables(flist: AnyFlist) -> Tables:
    """Return everything that `flist` holds; raises `FormatError` unless its tree is sound."""
    return load_tree(flist)._replace(parts=flist.all_parts())


def load_tree(flist: AnyFlist) -> Tables:
    """Return what `flist` holds, but for the parts; raises `FormatError` unless its tree is
    sound."""
    tables = read_tables(flist)
    for fault in find_tree_faults(tables):
        raise FormatError(f"cannot read {flist.path}: {fault}")
    return tables


def count_path(left: int, path: bytes) -> int:
    """Return how many bytes of paths there may still be after `path`; raises `FormatError`."""
    if len(path) > left:
        raise FormatError("cannot read a flist whose paths take more than 1 GiB")
    return left - len(path)


def find_tree_faults(tables: Tables) -> Iterator[str]:
    """Yield what is wrong with the tree of entries."""
    known = {inode.ino: inode for inode in tables.inodes}
    if len(known) != len(tables.inodes):
        yield "an inode number is there twice"
    root = known.get(ROOT_INO)
    if root is None or not root.is_dir:
        yield "it has no root directory"
    names = set()
    for inode in tables.inodes:
        if inode.ino != ROOT_INO and (inode.parent, inode.name) in names:
            yield f"{show_path(known, inode)}: it is there twice"
        names.add((inode.parent, inode.name))
        if inode.is_link and not tables.meta.get(inode.content_ino, NO_META).target:
            yield f"{show_path(known, inode)}: a symbolic link without a target"
        if inode.same_as and not is_name_of(inode, known.get(inode.same_as)):
            path, first = show_path(known, inode), inode.same_as
            yield f"{path}: another name of inode {first}, which is not there or differs"


def find_leftovers(tables: Tables) -> Iterator[str]:
    """Yield what no path leads to: inodes whose parent is not there, is not a directory, or is in a
    loop; and rows of inodes that are not there."""
    known = {inode.ino: inode for inode in tables.inodes}
    children: dict[int, list[Inode]] = {}
    for inode in tables.inodes:
        if inode.ino != ROOT_INO:
            children.setdefault(inode.parent, []).append(inode)
    folders = [ROOT_INO]
    for folder in folders:  # grows during the loop
        folders += [child.ino for child in children.pop(folder, ()) if child.is_dir]
    for inode in (inode for left in children.values() for inode in left):
        yield f"inode {inode.ino} ({os.fsdecode(inode.name)!r}) is in no directory of the tree"
    for ino in sorted((tables.blocks.keys() | tables.meta.keys()) - known.keys()):
        yield f"inode {ino} has blocks or properties, but is not there"
    for ino, meta in tables.meta.items():
        if meta.target is not None and ino in known and not known[ino].is_link:
            yield f"{show_path(known, known[ino])}: a link's target, but it is not a link"


def is_name_of(inode: Inode, first: Inode | None) -> bool:
    """Return whether `inode` may be a further name of the inode `first`."""
    if first is None or first.same_as or first.is_dir:
        return False
    return stat.S_IFMT(inode.mode) == stat.S_IFMT(first.mode) and (
        inode.size == first.size or not inode.is_file
    )


def find_block_faults(tables: Tables) -> Iterator[tuple[int, str]]:
    """Yield the number of each inode whose blocks are wrong, and what is wrong with them."""
    known = {inode.ino: inode for inode in tables.inodes}
    for inode in tables.inodes:
        blocks = tables.blocks.get(inode.content_ino, ())
        own = tables.blocks.get(inode.ino)
        if not inode.is_file:
            if own:
                yield inode.ino, f"{show_path(known, inode)}: blocks, but it is not a file"
        elif len(blocks) != chunk_count(inode.size):
            path = show_path(known, inode)
            yield inode.ino, f"{path}: {len(blocks)} blocks for {inode.size} bytes"
        elif own is not None and list(own) != list(blocks):
            yield inode.ino, f"{show_path(known, inode)}: other blocks than its first name"


def show_path(known: dict[int, Inode], inode: Inode) -> str:
    """Return the path of an inode; of one outside the tree, as far as it leads."""
    names: list[bytes] = []
    seen = set()
    place: Inode | None = inode
    while place is not None and place.ino != ROOT_INO and place.ino not in seen:
        seen.add(place.ino)
        names.append(place.name)
        place = known.get(place.parent)
    return "/" + os.fsdecode(b"/".join(reversed(names)))
