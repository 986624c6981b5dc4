"""When blocks in a folder count as relied on, which keeps them from being collected."""

import errno
import os
import time
from pathlib import Path

import pytest

from flist.store.folder import FolderStore

BLOCK, OTHER = b"\xab" + bytes(31), b"\xcd" + bytes(31)
HOUR_S = 3600


@pytest.fixture(name="store")
def make_store(tmp_path: Path) -> FolderStore:
    """Return a store that has one old block, opened after that was written."""
    FolderStore(tmp_path).put(BLOCK, b"data")
    store = FolderStore(tmp_path)
    age(store, HOUR_S)
    return store


def age(store: FolderStore, by_s: float) -> None:
    then = time.time() - by_s
    os.utime(store.path(BLOCK.hex()), (then, then))


def age_of(store: FolderStore) -> float:
    return time.time() - Path(store.path(BLOCK.hex())).stat().st_mtime


def test_to_look_changes_nothing(store: FolderStore) -> None:
    assert store.has(BLOCK)
    assert store.get(BLOCK) == b"data"
    assert age_of(store) >= HOUR_S


def test_what_is_relied_on_is_young(store: FolderStore) -> None:
    assert store.missing([BLOCK, OTHER]) == {OTHER}
    assert age_of(store) < HOUR_S / 2
    age(store, HOUR_S)
    store.put(BLOCK, b"data")
    assert age_of(store) < HOUR_S / 2


def test_what_lies_flat_is_relied_on_too(store: FolderStore) -> None:
    flat = store.root / BLOCK.hex()
    Path(store.path(BLOCK.hex())).rename(flat)
    assert store.missing([BLOCK]) == set()
    assert time.time() - flat.stat().st_mtime < HOUR_S / 2


def test_an_empty_file_is_no_block(store: FolderStore) -> None:
    Path(store.path(BLOCK.hex())).write_bytes(b"")
    assert not store.has(BLOCK)
    assert store.missing([BLOCK]) == {BLOCK}
    (store.root / BLOCK.hex()).write_bytes(b"data")  # there, in the older layout
    assert store.has(BLOCK)


def test_young_blocks_cost_no_write(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.missing([BLOCK])
    monkeypatch.delattr(os, "utime")
    store.put(BLOCK, b"data")
    assert store.missing([BLOCK]) == set()


def test_another_users_block_is_written_anew(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We can't make it young, and a collection would take it from under us."""

    def refuse(path: str) -> None:
        raise PermissionError(errno.EPERM, "no", path)

    monkeypatch.setattr(os, "utime", refuse)
    assert store.missing([BLOCK]) == {BLOCK}
    store.put(BLOCK, b"data")
    assert age_of(store) < HOUR_S / 2


def test_a_folder_that_nobody_can_write_to_keeps_what_it_has(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise OSError(errno.EROFS, "read only", path)

    monkeypatch.setattr(os, "utime", refuse)
    assert store.missing([BLOCK]) == set()
    store.put(BLOCK, b"data")
    assert age_of(store) >= HOUR_S
