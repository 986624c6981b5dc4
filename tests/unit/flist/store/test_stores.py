"""Routes, mirrors, retries, cache and fetcher, with fake stores."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from flist.blocks.codec import check_arrival, encode
from flist.errors import (
    BlockError,
    BlockMissingError,
    FlistError,
    StoreError,
    StoreUnavailableError,
)
from flist.http.urls import strip_password
from flist.model import Route
from flist.store.base import Store
from flist.store.cache import BlockCache
from flist.store.fetch import Fetcher
from flist.store.folder import FolderStore
from flist.store.retry import SHORTEST_TRY_S, RetryingStore
from flist.store.routed import FIRST_PATIENCE_S, REST_S, RoutedStore, parse_route


class FakeStore:
    """Blocks in memory; `fail` is called before each get and may raise or wait."""

    stall: "Clock | None" = None
    """If set, each get is silent until it is given up, which takes time of this clock."""

    def __init__(self, fail: Callable[[], None] = lambda: None) -> None:
        self.blocks: dict[bytes, bytes] = {}
        self.fail = fail
        self.gets = 0

    def get(self, block_id: bytes) -> bytes:
        self.gets += 1
        self.fail()
        if block_id not in self.blocks:
            raise BlockMissingError("not here")
        return self.blocks[block_id]

    def get_within(self, block_id: bytes, patience_s: float) -> bytes:
        if self.stall is None:
            return self.get(block_id)
        self.gets += 1
        self.stall.now += patience_s
        raise StoreUnavailableError("silent")

    def put(self, block_id: bytes, data: bytes) -> None:
        self.blocks[block_id] = data

    def has(self, block_id: bytes) -> bool:
        return block_id in self.blocks

    def flush(self) -> None: ...

    def close(self) -> None: ...


def refuse() -> None:
    raise StoreUnavailableError("down")


def keep_order(items: list[Store]) -> None:
    del items


def test_routes_match_as_in_upstream() -> None:
    a, b, c = Route(0, 255, "a"), Route(0, 200, "b"), Route(0, 128, "c")
    for first, expected in ((0, "abc"), (128, "abc"), (129, "ab"), (200, "ab"), (201, "a")):
        block_id = bytes([first]) + bytes(31)
        assert "".join(r.url for r in (a, b, c) if r.matches(block_id)) == expected


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("dir:///x", Route(0, 255, "dir:///x")),
        ("00-7f=dir:///x", Route(0, 127, "dir:///x")),
        ("80-ff=http://h/p?a=b", Route(128, 255, "http://h/p?a=b")),
        ("http://h/p?a=b", Route(0, 255, "http://h/p?a=b")),
    ],
)
def test_route_texts(text: str, route: Route) -> None:
    assert parse_route(text) == route


@pytest.mark.parametrize("text", ["7f-00=dir:///x", "0-7f=x", "AA-BB=x", "00=x", "00-1=x", "a b=x"])
def test_bad_route_texts(text: str) -> None:
    with pytest.raises(UsageError):
        parse_route(text)


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("zdb://user:secret@h:9900/ns", "zdb://user@h:9900/ns"),
        ("zdb://:secret@h:9900/ns", "zdb://h:9900/ns"),
        ("s3://AK:SK@h:9000/b?region=x", "s3://AK@h:9000/b?region=x"),
        ("zdb://h:9900", "zdb://h:9900"),
        ("https://me:secret@h/p?a=b", "https://me@h/p?a=b"),
        ("dir:///a:b@c", "dir:///a:b@c"),
        ("server://http://h:80?token=abc", "server://http://h:80"),
    ],
)
def test_passwords_are_stripped(url: str, stripped: str) -> None:
    assert strip_password(url) == stripped


def test_mirrors_are_tried_in_turn() -> None:
    block, data = encode(b"content")
    down, wrong, empty, good = FakeStore(refuse), FakeStore(), FakeStore(), FakeStore()
    wrong.put(block.id, data[:-1] + b"?")
    good.put(block.id, data)
    routes = [(Route(0, 255, "x"), store) for store in (down, wrong, empty, good)]
    store = RoutedStore(routes, check_arrival, keep_order)
    assert store.get(block.id) == data
    assert [s.gets for s in (down, wrong, empty, good)] == [1, 1, 1, 1]
    good.blocks.clear()
    with pytest.raises(StoreUnavailableError):  # an outage is reported before errors that stay
        store.get(block.id)
    down.fail = lambda: None
    with pytest.raises(BlockError):
        store.get(block.id)
    wrong.blocks.clear()
    with pytest.raises(BlockMissingError):
        store.get(block.id)
    with pytest.raises(StoreError, match="no route"):
        RoutedStore([(Route(0, 0, "x"), good)], check_arrival).get(b"\xff" * 32)


class Clock:
    """A clock that advances only in pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> bool:
        self.now += seconds
        return False


def test_retry_waits_with_growing_pauses_up_to_the_limit() -> None:
    clock = Clock()
    inner = FakeStore(refuse)
    store = RetryingStore(inner, 60, clock=clock, pause=clock.pause)
    with pytest.raises(StoreUnavailableError):
        store.get(b"x" * 32)
    assert 60 <= clock.now < 61
    assert 10 < inner.gets < 40
    tries = inner.gets
    with pytest.raises(StoreUnavailableError):
        store.get(b"x" * 32)
    assert inner.gets == tries + 1  # the outage has lasted the limit: no more waiting
    clock.now += 1000
    inner.gets = 0
    with pytest.raises(StoreUnavailableError):
        store.get(b"x" * 32)
    assert inner.gets > 10  # the last error was long ago: this is another outage


@pytest.mark.parametrize("limit_s", [0.1, 1, 10, 19, 25, 60])
def test_a_store_that_hangs_costs_the_limit_or_one_short_try(limit_s: float) -> None:
    clock = Clock()
    inner = FakeStore()
    inner.stall = clock
    store = RetryingStore(inner, limit_s, clock=clock, pause=clock.pause)
    for number in range(3):
        started = clock.now
        with pytest.raises(StoreUnavailableError):
            store.get(b"x" * 32)
        # At most a pause, and a try that began just before the limit.
        least = limit_s if number == 0 else 0.0
        assert least <= clock.now - started < max(limit_s, SHORTEST_TRY_S) + SHORTEST_TRY_S
    assert inner.gets < 30


def test_a_mirror_that_hangs_is_tried_last_for_a_while() -> None:
    block, data = encode(b"content")
    clock = Clock()
    stalled, good = FakeStore(), FakeStore()
    stalled.stall = clock
    good.put(block.id, data)
    routes = [(Route(0, 255, "x"), store) for store in (stalled, good)]
    store = RoutedStore(routes, check_arrival, keep_order, clock)
    for _ in range(6):
        assert store.get(block.id) == data
    assert clock.now == FIRST_PATIENCE_S
    assert stalled.gets == 1
    clock.now += REST_S
    assert store.get(block.id) == data
    assert stalled.gets == 2
    good.fail = refuse  # now the other mirror may use all of the time
    before = clock.now
    with pytest.raises(StoreUnavailableError):
        store.get_within(block.id, 7)
    assert clock.now == before + 7
    stalled.stall = None
    stalled.put(block.id, data)
    assert store.get(block.id) == data


def test_of_failed_mirrors_the_one_that_rests_shortest_is_tried_first() -> None:
    """After a short fault of the good mirror, the one that hangs delays no reads."""
    block, data = encode(b"content")
    clock = Clock()
    stalled, good = FakeStore(), FakeStore(refuse)
    stalled.stall = clock
    good.put(block.id, data)
    routes = [(Route(0, 255, "x"), store) for store in (stalled, good)]
    store = RoutedStore(routes, check_arrival, keep_order, clock)
    with pytest.raises(StoreUnavailableError):
        store.get(block.id)
    with pytest.raises(StoreUnavailableError):
        store.get(block.id)
    good.fail = lambda: None
    before = clock.now
    for _ in range(6):
        assert store.get(block.id) == data
        clock.now += 1
    assert clock.now == before + 6


def test_a_mirror_without_the_block_does_not_count_as_failed() -> None:
    block, data = encode(b"content")
    empty, good = FakeStore(), FakeStore()
    good.put(block.id, data)
    routes = [(Route(0, 255, "x"), store) for store in (empty, good)]
    store = RoutedStore(routes, check_arrival, keep_order)
    for _ in range(3):
        assert store.get(block.id) == data
    assert empty.gets == 3


def test_a_block_is_read_once_the_store_is_back() -> None:
    clock = Clock()

    def fail_for_20_s() -> None:
        if clock.now < 20:
            raise StoreUnavailableError("down")

    inner = FakeStore(fail_for_20_s)
    inner.put(b"x" * 32, b"data")
    store = RetryingStore(inner, 60, clock=clock, pause=clock.pause)
    assert store.get(b"x" * 32) == b"data"
    assert not store.is_down(b"x" * 32)


def test_a_missing_block_is_not_retried() -> None:
    inner = FakeStore()
    with pytest.raises(BlockMissingError):
        RetryingStore(inner, 60).get(b"x" * 32)
    assert inner.gets == 1


def test_many_readers_of_a_block_cause_one_fetch() -> None:
    block, data = encode(b"content" * 1000)
    gate = threading.Event()

    def wait() -> None:
        gate.wait(60)

    inner = FakeStore(wait)
    inner.put(block.id, data)
    fetcher = Fetcher(inner, None)
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(fetcher.plain(block, 7000)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(60)
    assert results == [b"content" * 1000] * 8
    assert inner.gets == 1


def test_a_failed_fetch_is_tried_again() -> None:
    block, data = encode(b"content")
    inner = FakeStore(refuse)
    fetcher = Fetcher(inner, None)
    with pytest.raises(StoreUnavailableError):
        fetcher.plain(block, 7)
    inner.fail = lambda: None
    inner.put(block.id, data)
    assert fetcher.plain(block, 7) == b"content"


def test_packed_bytes_come_from_the_cache_or_else_from_the_store(tmp_path: Path) -> None:
    block, data = encode(b"content")
    inner = FakeStore()
    inner.put(block.id, data)
    cache = BlockCache(tmp_path)
    fetcher = Fetcher(RoutedStore([(Route(0, 255, "x"), inner)], check_arrival), cache)
    assert fetcher.load_packed_now(block) is None
    assert fetcher.load_packed(block) == data
    assert fetcher.load_packed(block) == fetcher.load_packed_now(block) == data
    assert inner.gets == 1


def test_packed_bytes_that_are_damaged_in_the_cache_are_fetched_again(tmp_path: Path) -> None:
    block, data = encode(b"content")
    inner = FakeStore()
    inner.put(block.id, data)
    cache = BlockCache(tmp_path)
    cache.put(block.id, bytes(len(data)))
    assert Fetcher(inner, cache).load_packed(block) == data
    assert cache.get(block.id) == data
    cache.put(block.id, bytes(len(data) + 1))
    with pytest.raises(BlockError, match="offline"):
        Fetcher(None, cache).load_packed(block)


def test_cache_keeps_its_limit(tmp_path: Path) -> None:
    limit = 200_000
    cache = BlockCache(tmp_path / "cache", limit)
    ids = []
    for number in range(300):
        block_id = bytes([number % 256, number // 256]) + bytes(30)
        cache.put(block_id, bytes([number % 256]) * 2000)
        ids.append(block_id)
        total = sum(p.stat().st_size for p in (tmp_path / "cache").glob("*/*"))
        assert total <= limit * (1 + 1 / 16)
    assert cache.get(ids[-1]) == bytes([299 % 256]) * 2000
    assert cache.get(ids[0]) is None


def test_cache_keeps_its_limit_when_several_write_at_once(tmp_path: Path) -> None:
    """Each write makes room for all blocks that are being written, not only for its own."""
    limit, size, writers = 100_000, 30_000, 3
    cache = BlockCache(tmp_path, limit)
    for number in range(writers):
        cache.put(bytes([number]) + bytes(31), bytes(size))
    together = threading.Barrier(writers)
    put = cache.folder.put

    def put_together(block_id: bytes, data: bytes) -> None:
        together.wait(60)
        put(block_id, data)

    cache.folder.put = put_together  # type: ignore[method-assign]
    threads = [
        threading.Thread(target=cache.put, args=(bytes([number]) + bytes(31), bytes(size)))
        for number in range(writers, 2 * writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= limit


def test_a_cache_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    BlockCache(tmp_path / "new").prepare()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(FlistError, match="others"):
        BlockCache(tmp_path / "open").prepare()
    (tmp_path / "file").touch()
    with pytest.raises(FlistError, match="cannot use cache"):
        BlockCache(tmp_path / "file").prepare()


def test_two_caches_in_one_folder(tmp_path: Path) -> None:
    limit = 100_000
    caches = [BlockCache(tmp_path, limit) for _ in range(2)]
    for number in range(200):
        caches[number % 2].put(bytes([number]) + bytes(31), b"x" * 1000)
    total = sum(path.stat().st_size for path in tmp_path.glob("*/*"))
    assert total <= limit * (1 + 2 / 16)


def test_folder_store(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "not" / "yet")
    block_id = b"\xab" + bytes(31)
    assert not store.has(block_id)
    with pytest.raises(BlockMissingError):
        store.get(block_id)
    store.put(block_id, b"data")
    store.flush()
    assert store.has(block_id)
    assert store.get(block_id) == b"data"
    path = Path(store.path(block_id.hex()))
    path.write_bytes(b"")  # a power cut can leave an empty file
    store.put(block_id, b"data")
    assert path.read_bytes() == b"data"
    path.rename(store.root / block_id.hex())  # the older, flat layout
    assert store.get(block_id) == b"data"
    assert [p.name for p in store.root.rglob(".*")] == []
