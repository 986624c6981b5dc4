"""Compares two flists."""

from collections.abc import Iterator
from typing import NamedTuple

from flist.format.nodes import Node, find_links

COMPARED = ("mode", "uid", "gid", "size", "rdev", "mtime_ns")


class Change(NamedTuple):
    """One difference: `kind` is `+` (added), `-` (removed) or `M` (modified, in `fields`)."""

    kind: str
    path: bytes
    fields: tuple[str, ...]


def compare(old: dict[bytes, Node], new: dict[bytes, Node]) -> Iterator[Change]:
    """Yield the differences from `old` to `new`, sorted by path."""
    old_links, new_links = find_links(old), find_links(new)
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            yield Change("-", path, ())
        elif path not in old:
            yield Change("+", path, ())
        else:
            fields = differing(old[path], new[path])
            if old_links.get(path) != new_links.get(path):
                fields += ("links",)
            if fields:
                yield Change("M", path, fields)


def differing(old: Node, new: Node) -> tuple[str, ...]:
    """Return the names of the properties in which two nodes differ."""
    fields = [name for name in COMPARED if getattr(old.inode, name) != getattr(new.inode, name)]
    if old.inode.is_dir and new.inode.is_dir and "size" in fields:
        fields.remove("size")  # a directory's size has no meaning
    if [block.key for block in old.blocks] != [block.key for block in new.blocks]:
        fields.append("content")
    if old.meta.target != new.meta.target:
        fields.append("target")
    if old.meta.xattrs != new.meta.xattrs:
        fields.append("xattrs")
    if old.meta.extents != new.meta.extents:
        fields.append("holes")
    return tuple(fields)
