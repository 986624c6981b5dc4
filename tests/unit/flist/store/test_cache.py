"""What the cache evicts."""

import os
from pathlib import Path

import pytest

from flist.store.cache import UNIT_BYTES, BlockCache


def name(number: int) -> bytes:
    return number.to_bytes(2, "big") + bytes(30)


def test_small_files_count_as_what_they_take_of_the_disk(tmp_path: Path) -> None:
    limit = 64 * UNIT_BYTES
    cache = BlockCache(tmp_path, limit)
    for number in range(300):
        cache.put(name(number), b"x" * 100)
    files = list(tmp_path.glob("*/*"))
    assert 16 < len(files) <= 64 * (1 + 1 / 16)


def test_a_block_that_is_read_in_each_round_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mark per mount would let it become the oldest of all."""
    clock = [1_000_000_000]

    def set_time(path: str, times: tuple[float, float] | None = None) -> None:
        del times
        clock[0] += 1_000_000_000
        real(path, ns=(clock[0], clock[0]))

    real = os.utime
    cache = BlockCache(tmp_path, 64 * UNIT_BYTES)
    put = cache.folder.put

    def put_with_time(block_id: bytes, data: bytes) -> None:
        put(block_id, data)
        set_time(cache.folder.path(block_id.hex()))

    monkeypatch.setattr(cache.folder, "put", put_with_time)
    monkeypatch.setattr("flist.store.cache.os.utime", set_time)
    cache.put(name(0), b"often read")
    for number in range(1, 500):
        cache.put(name(number), bytes(UNIT_BYTES))
        assert cache.get(name(0)) == b"often read", number
    assert cache.get(name(1)) is None


def test_a_block_is_marked_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another mount may evict meanwhile."""
    cache = BlockCache(tmp_path)
    cache.put(name(0), b"data")
    path = Path(cache.folder.path(name(0).hex()))
    now = [1000.0]
    monkeypatch.setattr("flist.store.cache.time.monotonic", lambda: now[0])
    for passed, is_marked in ((0.0, True), (1.0, False), (60.0, True)):
        now[0] += passed
        os.utime(path, (1, 1))
        assert cache.get(name(0)) == b"data"
        assert (path.stat().st_mtime > 1) is is_marked
