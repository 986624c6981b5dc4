"""The start-up file of a converted image."""

from collections.abc import Callable
from typing import cast

import pytest

from flist.archive.chunks import ChunkWriter
from flist.archive.tree import Item, Node
from flist.model import Block
from flist.oci.convert import add_startup


class Writer:
    """Keeps what is stored."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    def add(self, chunk: bytes, _blocks: list[Block]) -> None:
        self.texts.append(chunk)


@pytest.mark.parametrize("make", [lambda: Node(Item(size=5)), lambda: Node(Item(), {})])
def test_an_images_own_file_is_kept(make: Callable[[], Node]) -> None:
    own, writer = make(), Writer()
    root = Node(Item(), {b".startup.toml": own})
    add_startup(root, b"ours", cast(ChunkWriter, writer))
    assert root.children == {b".startup.toml": own} and writer.texts == []


def test_an_image_without_one_gets_ours() -> None:
    root, writer = Node(Item(), {}), Writer()
    add_startup(root, b"ours", cast(ChunkWriter, writer))
    assert root.children is not None and root.children[b".startup.toml"].item.size == 4
    assert writer.texts == [b"ours"]
