"""A disk that is full, and has room again."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import needs
from zdb.errors import WriteError
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    needs.need_root()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_refuses_writes_and_keeps_what_it_has(small: Path) -> None:
    now = [1_700_000_000.0]
    settings = StoreSettings(sync="always", clock=lambda: now[0], file_size=200_000)
    (small / "other").write_bytes(bytes(300_000))
    kept = []
    with Store(small / "d", small / "i", settings) as store:
        space = store.namespaces["default"]
        for number in range(1000):
            try:
                space.set(b"k%d" % number, b"x" * 5000)
            except WriteError:
                break
            if store.commit():
                break
            kept.append(number)
        assert 50 < len(kept) < 200
        assert space.entries == len(kept)
        with pytest.raises(WriteError):
            space.set(b"more", b"x")
        assert space.get(b"k%d" % kept[-1]) == b"x" * 5000
        (small / "other").unlink()
        now[0] += 2
        assert space.set(b"again", b"y") == b"again"
        assert store.commit() == set()
    with Store(small / "d", small / "i", settings) as store:
        space = store.namespaces["default"]
        assert space.entries == len(kept) + 1
        assert all(space.get(b"k%d" % number) == b"x" * 5000 for number in kept)
