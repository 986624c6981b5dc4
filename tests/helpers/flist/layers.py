"""Layers applied in memory, without a store."""

import io
import stat
from collections.abc import Sequence
from typing import Any

from flist.archive.chunks import ChunkWriter
from flist.archive.limits import Limits
from flist.archive.tree import Node, walk_tree
from flist.model import Block
from flist.oci.digest import parse_digest
from flist.oci.layer.apply import Applier
from tests.helpers.flist.registry import digest_of


class MemoryWriter(ChunkWriter):
    """Stores nothing: the id of each block is its chunk."""

    def __init__(self) -> None:
        super().__init__([])

    def add(self, chunk: bytes, blocks: list[Block], file_size: int = 0) -> None:
        blocks.append(Block(chunk, b""))

    def wait(self) -> None:
        pass


def apply_layers(layers: Sequence[bytes], limits: Limits | None = None) -> Node:
    """Return the merged tree of `layers`, lowest first."""
    applier = Applier(MemoryWriter(), limits or Limits())
    for layer in reversed(layers):
        applier.apply(io.BytesIO(layer), parse_digest(digest_of(layer)))
    return applier.finish()


def listing(layers: Sequence[bytes], limits: Limits | None = None) -> dict[str, Any]:
    """Return the content of each path: bytes of a file, target of a link, None for the rest."""
    paths = {0: ""}
    found: dict[str, Any] = {}
    for number, parent, name, node in walk_tree(apply_layers(layers, limits)):
        paths[number] = f"{paths[parent]}/{name.decode()}" if parent else ""
        item = node.item
        if stat.S_ISREG(item.mode):
            data = b"".join(block.id for block in item.blocks or ())
            assert len(data) == item.size
            found[paths[number]] = data
        else:
            found[paths[number]] = item.target.decode() if item.target is not None else None
    del found[""]
    return found
