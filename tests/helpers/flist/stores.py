"""What every kind of store has to do, and copies made through one."""

from pathlib import Path

import pytest

from flist.blocks.codec import encode
from flist.errors import BlockMissingError
from flist.store.base import Store
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.trees import describe

BLOCK, DATA = encode(b"some content" * 1000)


def exercise(store: Store) -> None:
    """Put, get and ask; and what is not there."""
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
    """Unpack with the blocks from `store`, into a new `folder`, and compare with `tree`."""
    folder.mkdir()
    rfs("unpack", "-m", meta, "--store", store, "-c", folder / "cache", folder / "out")
    assert describe(folder / "out") == describe(tree)
