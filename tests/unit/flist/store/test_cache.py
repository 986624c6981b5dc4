"""What the cache evicts."""

import os
from pathlib import Path

import pytest

from flist.blocks.codec import check_arrival, digest, encode
from flist.errors import BlockError
from flist.store.cache import UNIT_BYTES, BlockCache
from flist.store.fetch import Fetcher


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


def test_a_cache_where_others_may_write_is_checked_by_id(tmp_path: Path) -> None:
    """Who knows the flist can encrypt other bytes with the right tag."""
    plain = b"what was packed" * 100
    good, forged = encode(plain), encode(b"what was forged" * 100, digest(plain))
    cache = BlockCache(tmp_path, check=check_arrival)
    fetcher = Fetcher(None, cache)
    cache.put(good.block.id, forged.data)
    unchecked = Fetcher(None, BlockCache(tmp_path))
    assert unchecked.plain(good.block, len(plain)) != plain
    with pytest.raises(BlockError, match="not in the cache"):
        fetcher.plain(good.block, len(plain))
    assert fetcher.load_packed_now(good.block) is None
    assert not list(tmp_path.glob("*/*"))
    cache.put(good.block.id, good.data)
    assert fetcher.plain(good.block, len(plain)) == plain


def test_hostile_files_are_no_blocks(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, check=check_arrival)
    path = Path(cache.folder.path(name(1).hex()))
    path.parent.mkdir()
    with open(path, "wb") as stream:
        stream.truncate(1 << 40)
    assert cache.get(name(1)) is None
    path.unlink()
    os.mkfifo(path)
    assert cache.get(name(1)) is None
    path.mkdir()
    assert cache.get(name(1)) is None
