"""When a `dir` store renews the time of a block, which protects it from `gc`."""

import errno
import os
import time
from pathlib import Path

import pytest

from common.errors import UsageError
from flist.store.base import open_store
from flist.store.folder import FolderStore

BLOCK, OTHER = b"\xab" + bytes(31), b"\xcd" + bytes(31)
HOUR_S = 3600


@pytest.fixture(name="store")
def make_store(tmp_path: Path) -> FolderStore:
    """Return a store with one old block, opened after the block was written."""
    FolderStore(tmp_path).put(BLOCK, b"data")
    store = FolderStore(tmp_path)
    age(store, HOUR_S)
    return store


def age(store: FolderStore, by_s: float) -> None:
    then = time.time() - by_s
    os.utime(store.path(BLOCK.hex()), (then, then))


def age_of(store: FolderStore) -> float:
    return time.time() - Path(store.path(BLOCK.hex())).stat().st_mtime


def test_reading_does_not_renew_the_time(store: FolderStore) -> None:
    assert store.has(BLOCK)
    assert store.get(BLOCK) == b"data"
    assert age_of(store) >= HOUR_S


def test_the_time_of_known_blocks_is_renewed(store: FolderStore) -> None:
    assert store.missing([BLOCK, OTHER]) == {OTHER}
    assert age_of(store) < HOUR_S / 2
    age(store, HOUR_S)
    store.put(BLOCK, b"data")
    assert age_of(store) < HOUR_S / 2


def test_the_time_in_the_flat_layout_is_renewed_too(store: FolderStore) -> None:
    flat = store.root / BLOCK.hex()
    Path(store.path(BLOCK.hex())).rename(flat)
    assert store.missing([BLOCK]) == set()
    assert time.time() - flat.stat().st_mtime < HOUR_S / 2


def test_an_empty_file_does_not_count_as_a_block(store: FolderStore) -> None:
    Path(store.path(BLOCK.hex())).write_bytes(b"")
    assert not store.has(BLOCK)
    assert store.missing([BLOCK]) == {BLOCK}
    (store.root / BLOCK.hex()).write_bytes(b"data")  # there, in the older layout
    assert store.has(BLOCK)


def test_the_time_of_young_blocks_is_not_written(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.missing([BLOCK])
    monkeypatch.delattr(os, "utime")
    store.put(BLOCK, b"data")
    assert store.missing([BLOCK]) == set()


def test_a_block_of_another_user_is_written_again(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time cannot be renewed, so the other user's `gc` could remove it."""

    def refuse(path: str) -> None:
        raise PermissionError(errno.EPERM, "no", path)

    monkeypatch.setattr(os, "utime", refuse)
    assert store.missing([BLOCK]) == {BLOCK}
    store.put(BLOCK, b"data")
    assert age_of(store) < HOUR_S / 2


def test_a_read_only_folder_keeps_its_blocks(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise OSError(errno.EROFS, "read only", path)

    monkeypatch.setattr(os, "utime", refuse)
    assert store.missing([BLOCK]) == set()
    store.put(BLOCK, b"data")
    assert age_of(store) >= HOUR_S


def test_both_layouts_are_read_and_each_can_be_written(tmp_path: Path) -> None:
    url = f"dir://{tmp_path}/blocks"
    flat, sharded = open_store(f"{url}?flat"), open_store(url)
    flat.put(BLOCK, b"data")
    flat.put(BLOCK, b"data")
    sharded.put(OTHER, b"other")
    names = sorted(str(p.relative_to(tmp_path / "blocks")) for p in tmp_path.rglob("*"))
    assert BLOCK.hex() in names and f"cd/{OTHER.hex()}" in names and "ab" not in names
    for store in (flat, sharded):
        assert store.get(BLOCK) == b"data" and store.get(OTHER) == b"other"
        assert store.has(BLOCK) and store.has(OTHER) and not store.has(bytes(32))
    with pytest.raises(UsageError, match="not known"):
        open_store(f"{url}?layout")
