"""Makes the content of a flist from a tree."""

from collections.abc import Mapping, Sequence

from flist.archive.tree import Item, Node, walk_tree
from flist.format.tables import Tables
from flist.model import Block, Inode, Meta, Route
from flist.pack.scan import DIRECTORY_BYTES


def make_content(root: Node, tags: Mapping[str, str], routes: Sequence[Route]) -> Tables:
    """Return the content of the flist for `root`: the same as if the tree were unpacked and then
    packed."""
    names: dict[Item, list[int]] = {}
    inodes: list[Inode] = []
    blocks: dict[int, Sequence[Block]] = {}
    meta: dict[int, Meta] = {}
    items: list[Item] = []
    for number, parent, name, node in walk_tree(root):
        item = node.item
        numbers = names.setdefault(item, [])
        numbers.append(number)
        items.append(item)
        same_as = numbers[0] if number != numbers[0] else 0
        inodes.append(make_inode(number, parent, name, node, same_as))
        if item.blocks:
            blocks[number] = item.blocks
        if item.target is not None or item.xattrs or item.extents is not None:
            meta[number] = Meta(item.target, item.xattrs, item.extents)
    counted = [
        inode._replace(nlink=len(names[item])) if len(names[item]) > 1 else inode
        for inode, item in zip(inodes, items, strict=True)
    ]
    return Tables(counted, blocks, meta, tags, routes)


def make_inode(number: int, parent: int, name: bytes, node: Node, same_as: int) -> Inode:
    """Return the inode of one name."""
    item = node.item
    if node.children is not None:
        size = DIRECTORY_BYTES
    else:
        size = item.size if item.target is None else len(item.target)
    return Inode(
        number, parent, name, size, item.uid, item.gid, item.mode, item.rdev,
        item.mtime_ns, item.mtime_ns, same_as,
    )  # fmt: skip
