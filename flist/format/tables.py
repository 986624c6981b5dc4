"""Everything that a flist holds, read into memory: the rows of its tables as values."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from flist.model import Block, Inode, Meta, Route

if TYPE_CHECKING:
    from flist.format.opening import AnyFlist


class Tables(NamedTuple):
    """A whole flist. `blocks` and `meta` are by inode number; `parts` holds the rows of `zos_part`
    by block id (`flist.blocks.parts`), for those blocks that have one."""

    inodes: Sequence[Inode]
    blocks: Mapping[int, Sequence[Block]]
    meta: Mapping[int, Meta]
    tags: Mapping[str, str]
    routes: Sequence[Route]
    parts: Mapping[bytes, bytes] = MappingProxyType({})


def read_tables(flist: "AnyFlist") -> Tables:
    """Return what `flist` holds, but for the parts. Each value is checked, the whole is not: see
    `flist.format.checker`. Raises `FormatError`."""
    meta = flist.all_meta()
    blocks: dict[int, list[Block]] = {}
    for ino, block in flist.all_blocks():
        blocks.setdefault(ino, []).append(block)
    return Tables(list(flist.inodes()), blocks, meta, flist.tags(), flist.routes())
