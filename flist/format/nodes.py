"""A flist as nodes by path, for comparing, merging and rewriting flists."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from flist.errors import FormatError
from flist.format.checker import MAX_PATHS_BYTES, count_path, load_tables
from flist.format.opening import AnyFlist
from flist.format.tables import Tables
from flist.model import NO_META, ROOT_INO, Block, Inode, Meta


class Node(NamedTuple):
    """A file, directory, link or device: its absolute path, inode, metadata and blocks."""

    path: bytes
    inode: Inode
    meta: Meta
    blocks: tuple[Block, ...]


def walk_nodes(tables: Tables) -> Iterator[Node]:
    """Yield every node below the root: a directory before its entries, those sorted by name.

    Raises `FormatError` if there is no root.
    """
    children: dict[int, list[Inode]] = {}
    root = None
    for inode in tables.inodes:
        if inode.ino == ROOT_INO:
            root = inode
        else:
            children.setdefault(inode.parent, []).append(inode)
    if root is None:
        raise FormatError("a flist has no root directory")
    pending = [(b"/", root)]
    left = MAX_PATHS_BYTES
    for path, inode in pending:  # grows during the loop
        left = count_path(left, path)
        first = inode.content_ino
        blocks = tables.blocks.get(inode.ino) or tables.blocks.get(first) or ()
        meta = tables.meta.get(first, NO_META)
        yield Node(path, inode, meta, tuple(blocks) if inode.is_file else ())
        base = path if path.endswith(b"/") else path + b"/"
        entries = sorted(children.get(inode.ino, ()), key=lambda entry: entry.name)
        pending += [(base + entry.name, entry) for entry in entries]


def load_nodes(flist: AnyFlist) -> dict[bytes, Node]:
    """Return every node by path; raises `FormatError` if two have the same path."""
    nodes: dict[bytes, Node] = {}
    for node in walk_nodes(load_tables(flist)):
        if node.path in nodes:
            raise FormatError(f"{os.fsdecode(node.path)} is in the flist twice")
        nodes[node.path] = node
    return nodes


def number_nodes(nodes: dict[bytes, Node], links: dict[bytes, bytes]) -> Tables:
    """Return the tables of a new flist of `nodes`, numbered breadth first and by name.

    `links` maps the path of a hard link to the path of its first name. Tags and routes stay empty.
    """
    inodes: list[Inode] = []
    blocks: dict[int, tuple[Block, ...]] = {}
    meta: dict[int, Meta] = {}
    numbers: dict[bytes, int] = {}
    counts: dict[bytes, int] = {}
    for first in links.values():
        counts[first] = counts.get(first, 1) + 1
    for path in sorted(nodes, key=lambda p: (p.count(b"/") if p != b"/" else 0, p)):
        node = nodes[path]
        ino = numbers[path] = len(inodes) + 1
        parent = 0 if path == b"/" else numbers[path.rpartition(b"/")[0] or b"/"]
        first = links.get(path, path)
        same_as = numbers[first] if first != path else 0
        nlink = counts.get(first, 1)
        inodes.append(node.inode._replace(ino=ino, parent=parent, same_as=same_as, nlink=nlink))
        if node.blocks:
            blocks[ino] = node.blocks
        if node.meta != NO_META and not same_as:
            meta[ino] = node.meta
        elif node.meta.target is not None:
            meta[ino] = Meta(node.meta.target)  # upstream's readers do not know hard links
    return Tables(inodes, blocks, meta, {}, [])


def find_links(nodes: dict[bytes, Node]) -> dict[bytes, bytes]:
    """Return the path of the first name, in breadth-first order, for every other hard link."""
    firsts: dict[int, bytes] = {}
    links = {}
    for path in sorted(nodes, key=lambda p: (p.count(b"/"), p)):
        inode = nodes[path].inode
        if inode.is_dir:
            continue
        first = firsts.setdefault(inode.content_ino, path)
        if first != path:
            links[path] = first
    return links
