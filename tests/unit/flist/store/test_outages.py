"""A shard or mirror that is down does not stop the others."""

import pytest

from flist.blocks.codec import check_arrival, encode
from flist.errors import StoreUnavailableError
from flist.model import Route
from flist.store.retry import RetryingStore
from flist.store.routed import RoutedStore
from tests.unit.flist.store.test_stores import Clock, FakeStore, refuse


def test_a_dead_shard_does_not_use_up_the_patience_with_another() -> None:
    clock = Clock()
    low, high = FakeStore(refuse), FakeStore()
    routes = [(Route(0, 127, "l"), low), (Route(128, 255, "h"), high)]
    routed = RoutedStore(routes, lambda *_: None)
    store = RetryingStore(routed, 60, group=routed.group, clock=clock, pause=clock.pause)
    with pytest.raises(StoreUnavailableError):
        store.get(bytes(32))
    assert clock.now >= 60

    began = clock.now

    def fail_for_a_second() -> None:
        if clock.now < began + 1:
            raise StoreUnavailableError("restarts")

    high.fail = fail_for_a_second
    high.put(b"\xff" * 32, b"data")
    assert store.get(b"\xff" * 32) == b"data"  # after several tries
    assert store.is_down(bytes(32)) and not store.is_down(b"\xff" * 32)

    asked, before = low.gets, clock.now
    with pytest.raises(StoreUnavailableError):
        store.get(bytes(32))
    assert low.gets == asked + 1 and clock.now == before  # its outage is not forgotten


def test_mirrors_are_one_group() -> None:
    """A mirror that is down costs no wait while another one answers."""
    block, data = encode(b"content")
    clock = Clock()
    down, good = FakeStore(refuse), FakeStore()
    good.put(block.id, data)
    routed = RoutedStore([(Route(0, 255, "x"), s) for s in (down, good)], check_arrival)
    store = RetryingStore(routed, 60, group=routed.group, clock=clock, pause=clock.pause)
    for _ in range(10):
        assert store.get(block.id) == data
    assert clock.now == 0


def test_mirrors_with_an_order_are_used_in_it_until_one_fails() -> None:
    block, data = encode(b"content")
    clock = Clock()
    stores = [FakeStore(), FakeStore()]
    for store in stores:
        store.put(block.id, data)
    routes = [(Route(0, 255, "x"), store) for store in stores]
    routed = RoutedStore(routes, check_arrival, clock=clock, is_ordered=True)
    for _ in range(20):
        routed.get(block.id)
    assert [store.gets for store in stores] == [20, 0]
    stores[0].fail = refuse
    routed.get(block.id)
    stores[0].fail = lambda: None
    routed.get(block.id)
    assert [store.gets for store in stores] == [21, 2]  # the first one rests
    clock.now += 60
    routed.get(block.id)
    assert [store.gets for store in stores] == [22, 2]
