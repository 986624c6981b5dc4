"""Compares two flists: what came, what went, and what of the rest is different."""

from collections.abc import Iterator
from typing import NamedTuple

from flist.format.nodes import Node, find_links

COMPARED = ("mode", "uid", "gid", "size", "rdev", "mtime_ns")


class Change(NamedTuple):
    """One difference: kind is `+`, `-` or `M`, `fields` what is different."""

    kind: str
    path: bytes
    fields: tuple[str, ...]


def compare(old: dict[bytes, Node], new: dict[bytes, Node]) -> Iterator[Change]:
    """Give the differences from `old` to `new`, by path."""
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
    """Return the names of what differs between two entries."""
    fields = [name for name in COMPARED if getattr(old.inode, name) != getattr(new.inode, name)]
    if old.inode.is_dir and new.inode.is_dir and "size" in fields:
        fields.remove("size")  # of a directory it says nothing
    if [block.key for block in old.blocks] != [block.key for block in new.blocks]:
        fields.append("content")
    if old.meta.target != new.meta.target:
        fields.append("target")
    if old.meta.xattrs != new.meta.xattrs:
        fields.append("xattrs")
    if old.meta.extents != new.meta.extents:
        fields.append("holes")
    return tuple(fields)
