"""Pipelined requests: every answer is read whole, or the pipeline is given up without harm."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from flist.blocks.codec import encode
from flist.errors import BlockMissingError
from flist.http.patience import Patience
from flist.model import Route
from flist.store import http
from flist.store.base import announce
from flist.store.folder import FolderStore
from flist.store.http import HttpStore
from flist.store.retry import RetryingStore
from flist.store.routed import RoutedStore
from tests.helpers.flist.faults import FaultyServer, faulty_server

PLAINS = [bytes([number]) * 100 for number in range(5)]
IDS = [encode(plain).block.id for plain in PLAINS]
DATA = {encode(plain).block.id: encode(plain).data for plain in PLAINS}


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Send `answer` to every connection, whatever it requests; yields the URL and the requests."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):  # the client may hang up early
                    asked.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(60)


def ok(block_id: bytes, headers: bytes = b"") -> bytes:
    """Return the answer with a block."""
    data = DATA[block_id]
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(data), headers, data)


@pytest.fixture(name="server")
def make_server(tmp_path: Path) -> Iterator[FaultyServer]:
    store = FolderStore(tmp_path / "blocks")
    for block_id, data in DATA.items():
        store.put(block_id, data)
    with faulty_server(tmp_path / "blocks") as server:
        yield server


def test_announced_blocks_arrive_over_few_connections_in_any_order(server: FaultyServer) -> None:
    store = RetryingStore(
        RoutedStore([(Route(0, 255, server.url), HttpStore(server.url))], lambda *_: None), 60
    )
    for _ in range(6):
        with announce(store, IDS):
            for block_id in reversed(IDS):
                assert store.get(block_id) == DATA[block_id]
    assert server.asked == 6 * len(IDS)
    assert len(server.clients) == http.KEPT_FOR_READS + 1
    store.close()


def test_a_missing_block_in_a_pipeline_does_not_affect_the_others(server: FaultyServer) -> None:
    store = HttpStore(server.url)
    missing = bytes(32)
    with store.announce([missing, *IDS]):
        assert store.get(IDS[0]) == DATA[IDS[0]]
        with pytest.raises(BlockMissingError):
            store.get(missing)
        assert store.get(IDS[1]) == DATA[IDS[1]]
    assert store.get(IDS[2]) == DATA[IDS[2]]
    store.close()


def test_blocks_that_are_not_taken_are_dropped(server: FaultyServer) -> None:
    store = HttpStore(server.url)
    with store.announce(IDS):
        assert store.get(IDS[1]) == DATA[IDS[1]]
    assert not store.announced
    assert len(store.client.origin.idle) == 1
    assert store.get(IDS[0]) == DATA[IDS[0]]
    assert len(server.clients) == 1
    store.close()


def test_many_threads_take_from_one_pipeline(server: FaultyServer) -> None:
    store = HttpStore(server.url)
    found: dict[bytes, bytes] = {}
    with store.announce(IDS):
        threads = [
            threading.Thread(target=lambda i=i: found.update({i: store.get(i)})) for i in IDS
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == DATA
    assert server.asked == len(IDS)
    store.close()


@pytest.mark.parametrize("fault", ["reset", "truncate", "500"])
def test_blocks_arrive_despite_a_fault_in_a_pipeline(server: FaultyServer, fault: str) -> None:
    store = RetryingStore(HttpStore(server.url), 60)
    server.break_with(fault, times=1)
    with announce(store, IDS):
        assert {block_id: store.get(block_id) for block_id in IDS} == DATA
    store.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n\r\nwithout a length",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
        b"HTTP/1.1",
        b"\r\n\r\n",
        b"A" * 100_000,
        ok(IDS[0], b"Connection: close\r\n"),
    ],
)
def test_an_unusual_answer_ends_the_pipeline(answer: bytes) -> None:
    """Then each block is requested by itself; after a few such answers, pipelining stops."""
    with answering(answer) as (url, asked):
        store = HttpStore(url, timeout_s=20)
        for number in range(http.MAX_BROKEN + 2):
            with store.announce(IDS):
                pipeline = store.announced.get(IDS[0])
                assert (pipeline is None) == (number >= http.MAX_BROKEN)
                if pipeline is not None:
                    assert pipeline.take(IDS[0], Patience(20)) is None
                    assert pipeline.take(IDS[1], Patience(20)) is None
        assert all(request.count(b"GET /") == len(IDS) for request in asked)
        store.close()


def test_a_connection_closed_while_idle_does_not_count_as_broken() -> None:
    with answering(b"") as (url, _):
        store = HttpStore(url, timeout_s=20)
        for _ in range(http.MAX_BROKEN + 1):
            while len(store.client.origin.idle) <= http.KEPT_FOR_READS:
                store.client.origin.idle.append(store.client.origin.connect())
            with store.announce(IDS):
                pass
        assert store.broken_left == http.MAX_BROKEN
        store.close()


def test_announcing_no_blocks_opens_a_connection(server: FaultyServer) -> None:
    store = HttpStore(server.url)
    with store.announce([]):
        pass
    assert len(store.client.origin.idle) == 1 and store.client.origin.idle[0].sock is not None
    assert server.asked == 0
    store.close()


def test_a_server_that_is_down_does_not_count_as_broken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    store = HttpStore(url)
    for _ in range(http.MAX_BROKEN + 1):
        with store.announce(IDS):
            pass
    assert store.broken_left == http.MAX_BROKEN
    assert not store.client.origin.idle
    store.close()


def test_blocks_of_mirrors_are_not_announced(server: FaultyServer) -> None:
    stores = [HttpStore(server.url) for _ in range(3)]
    routes = [(Route(0, 255, "a"), stores[0]), (Route(0, 127, "b"), stores[1])]
    routed = RoutedStore(routes, lambda *_: None)
    low, high = bytes(32), b"\xff" * 32
    with routed.announce([low, high]):
        assert list(stores[0].announced) == [high]
        assert not stores[1].announced
    with announce(stores[2], [low]), announce(FolderStore(Path("/nowhere")), [low]):
        assert list(stores[2].announced) == [low]
    for store in stores:
        store.close()


def test_blocks_of_mirrors_with_an_order_are_announced_to_the_first(server: FaultyServer) -> None:
    stores = [HttpStore(server.url) for _ in range(2)]
    routes = [(Route(0, 255, "a"), stores[0]), (Route(0, 255, "b"), stores[1])]
    routed = RoutedStore(routes, lambda *_: None, is_ordered=True)
    with routed.announce([bytes(32)]):
        assert list(stores[0].announced) == [bytes(32)]
        assert not stores[1].announced
    routed.close()
