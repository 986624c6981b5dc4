"""A namespace beside a dict: the same answers, over file changes, closings and crashes."""

import random
from pathlib import Path

import pytest

from zdb.storage.namespace import Namespace
from zdb.storage.scan import scan
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store

MODES = ["user", "seq"]


def settings(mode: str) -> StoreSettings:
    return StoreSettings(mode=mode, file_size=3000, sync="never", clock=lambda: 1_700_000_000.0)


def open_store(top: Path, mode: str) -> Store:
    store = Store(top / "data", top / "index", settings(mode))
    store.open()
    return store


def all_keys(namespace: Namespace, forward: bool) -> list[bytes]:
    keys: list[bytes] = []
    cursor = None
    while page := scan(namespace, cursor, forward):
        keys += [key for key, _, _ in page.items]
        cursor = page.cursor
    return keys


def compare(namespace: Namespace, want: dict[bytes, bytes]) -> None:
    assert namespace.entries == len(want)
    assert namespace.data_bytes == sum(map(len, want.values()))
    assert {key: namespace.get(key) for key in want} == want
    keys = all_keys(namespace, forward=True)
    assert sorted(keys) == sorted(want)
    assert all_keys(namespace, forward=False) == keys[::-1]


def change(namespace: Namespace, want: dict[bytes, bytes], chance: random.Random) -> None:
    """Set or delete something in both."""
    is_new = namespace.mode == "seq" and (chance.random() < 0.5 or not want)
    key = b"" if is_new else b"k%d" % chance.randrange(60)
    if namespace.mode == "seq" and not is_new:
        key = chance.choice(list(want))
    if key and chance.random() < 0.25:
        assert namespace.delete(key) == (want.pop(key, None) is not None)
        return
    value = chance.randbytes(chance.randrange(40))
    done = namespace.set(key, value)
    if done is None:
        assert want[key] == value
    else:
        want[done] = value


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(4))
def test_it_answers_as_a_dict_does(tmp_path: Path, mode: str, seed: int) -> None:
    chance = random.Random(seed)
    want: dict[bytes, bytes] = {}
    store = open_store(tmp_path, mode)
    for step in range(800):
        change(store.namespaces["default"], want, chance)
        if chance.random() < 0.2:
            assert store.commit() == set()
        if chance.random() < 0.02:
            store.commit()
            if chance.random() < 0.5:
                store.abandon()
            else:
                store.close()
            store = open_store(tmp_path, mode)
        if step % 100 == 99:
            compare(store.namespaces["default"], want)
    store.close()
    index = tmp_path / "index" / "default"
    before = {path.name: path.read_bytes() for path in index.iterdir()}
    for path in index.glob("i*"):
        path.unlink()
    with Store(tmp_path / "data", tmp_path / "index", settings(mode)) as again:
        compare(again.namespaces["default"], want)
    assert {path.name: path.read_bytes() for path in index.iterdir()} == before
