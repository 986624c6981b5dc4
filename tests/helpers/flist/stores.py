"""Checks that every kind of store must pass, and of copies made through a store."""

from pathlib import Path

import pytest

from flist.blocks.codec import encode
from flist.errors import BlockMissingError
from flist.store.base import Store
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.trees import describe

BLOCK, DATA = encode(b"some content" * 1000)


def exercise(store: Store) -> None:
    """Put, get and look up a block, before and after it is there."""
    assert not store.has(BLOCK.id)
    with pytest.raises(BlockMissingError):
        store.get(BLOCK.id)
    store.put(BLOCK.id, DATA)
    store.put(BLOCK.id, DATA)
    store.flush()
    assert store.has(BLOCK.id)
    assert store.get(BLOCK.id) == DATA
    store.close()
    assert store.get(BLOCK.id) == DATA
    store.close()


def check_copy(meta: Path, store: str, tree: Path, folder: Path) -> None:
    """Unpack `meta` from `store` into a new `folder`, and compare the result with `tree`."""
    folder.mkdir()
    rfs("unpack", "-m", meta, "--store", store, "-c", folder / "cache", folder / "out")
    assert describe(folder / "out") == describe(tree)
