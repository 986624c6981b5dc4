"""A whole flist in memory, by path: for what compares, joins or rewrites flists."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from flist.errors import FormatError
from flist.format.opening import AnyFlist
from flist.format.writer import Content
from flist.model import NO_META, ROOT_INO, Block, Inode, Meta


class Node(NamedTuple):
    """One entry: its path (`/` for the root), inode, and what belongs to it."""

    path: bytes
    inode: Inode
    meta: Meta
    blocks: tuple[Block, ...]


def load_content(flist: AnyFlist) -> Content:
    """Return everything that `flist` holds."""
    blocks: dict[int, list[Block]] = {}
    for ino, block in flist.all_blocks():
        blocks.setdefault(ino, []).append(block)
    inodes, parts = list(flist.inodes()), flist.all_parts()
    return Content(inodes, blocks, flist.all_meta(), flist.tags(), flist.routes(), parts)


def walk_nodes(content: Content) -> Iterator[Node]:
    """Give every entry that the root leads to, directories before what is in them, by name."""
    children: dict[int, list[Inode]] = {}
    root = None
    for inode in content.inodes:
        if inode.ino == ROOT_INO:
            root = inode
        else:
            children.setdefault(inode.parent, []).append(inode)
    if root is None:
        raise FormatError("a flist has no root directory")
    pending = [(b"/", root)]
    for path, inode in pending:  # grows while we walk
        first = inode.content_ino
        blocks = content.blocks.get(inode.ino) or content.blocks.get(first) or ()
        meta = content.meta.get(first, NO_META)
        yield Node(path, inode, meta, tuple(blocks) if inode.is_file else ())
        base = path if path.endswith(b"/") else path + b"/"
        entries = sorted(children.get(inode.ino, ()), key=lambda entry: entry.name)
        pending += [(base + entry.name, entry) for entry in entries]


def load_nodes(flist: AnyFlist) -> dict[bytes, Node]:
    """Return every entry by path; raises `FormatError` if two have one path."""
    nodes: dict[bytes, Node] = {}
    for node in walk_nodes(load_content(flist)):
        if node.path in nodes:
            raise FormatError(f"{os.fsdecode(node.path)} is there twice")
        nodes[node.path] = node
    return nodes


def number_nodes(nodes: dict[bytes, Node], links: dict[bytes, bytes]) -> Content:
    """Return `nodes` as the content of a new flist, numbered breadth first by name.

    `links` says of which path a hard-linked one is another name. Tags and routes are left empty.
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
            meta[ino] = Meta(node.meta.target)  # upstream's readers know no second names
    return Content(inodes, blocks, meta, {}, [])


def find_links(nodes: dict[bytes, Node]) -> dict[bytes, bytes]:
    """Return, for every second name of a node, the path that sorts first in breadth first order."""
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
