"""Backends that answer, refuse, hang, drip, vanish and lie."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.helpers.zstor.farm import Farm
from zstor.backends.connection import Patience
from zstor.backends.pool import Pool
from zstor.backends.zdb import Servers
from zstor.errors import BackendError, FullError, UnreachableError
from zstor.model import Backend, Place

PATIENCE = Patience(connect_s=10, answer_s=1, rest_s=0.5)


@pytest.fixture(name="pool")
def one_pool() -> Iterator[Pool]:
    with Pool(PATIENCE) as pool:
        yield pool


def test_pieces_and_metadata_come_back(pool: Pool, four: Farm) -> None:
    servers = Servers(pool)
    data = four.make("data", "seq")
    keys = [servers.add(data, value) for value in (b"one", b"", b"x" * (2 << 20))]
    assert len(set(keys)) == 3
    assert [servers.get(data, key) for key in keys] == [b"one", b"", b"x" * (2 << 20)]
    meta = four.make("meta", "user")
    for value in (b"a", b"a", b"b"):
        servers.put(meta, b"key", value)
    assert servers.get(meta, b"key") == b"b"
    servers.delete(meta, b"key")
    servers.delete(meta, b"key")
    assert servers.get(meta, b"key") is None
    info = servers.info(data)
    assert (info.mode, info.entries, info.used) == ("sequential", 3, 3 + (2 << 20))


def test_all_entries_of_a_namespace_are_listed(pool: Pool, four: Farm) -> None:
    servers, data = Servers(pool), four.make("data", "seq")
    keys = [servers.add(data, b"x" * n) for n in range(25)]
    assert [(entry.key, entry.size) for entry in servers.scan(data)] == [
        (key, n) for n, key in enumerate(keys)
    ]


def test_a_wrong_password_or_namespace_is_told(pool: Pool, four: Farm) -> None:
    four.make("locked", "user", password="right")
    for wrong in (four.backend("locked"), four.backend("none")):
        with pytest.raises(BackendError, match="cannot select the namespace") as caught:
            Servers(pool).get(wrong, b"key")
        assert "dpw" not in caught.value.message


def test_a_full_namespace_is_told(pool: Pool, four: Farm) -> None:
    full = four.make("full", "seq", maxsize="10")
    with pytest.raises(FullError, match="No space left"):
        Servers(pool).add(full, b"x" * 11)
    assert Servers(pool).info(full).free == 10


def test_a_value_longer_than_stored_is_not_read(pool: Pool, four: Farm) -> None:
    meta = four.make("meta", "user")
    Servers(pool).put(meta, b"key", b"x" * 50_000)
    with pytest.raises(BackendError, match="longer than anything"):
        Servers(pool).get(meta, b"key", most=10_000)


def test_a_restarted_server_is_met_again(pool: Pool, four: Farm) -> None:
    meta = four.make("meta", "user")
    Servers(pool).put(meta, b"key", b"value")
    for connection in pool.open:
        connection.shut()
    assert Servers(pool).get(meta, b"key") == b"value"


@contextlib.contextmanager
def talk(answer: Callable[[socket.socket], None]) -> Iterator[Backend]:
    """Run a server that does as it likes with each client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def run() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    client, _ = listener.accept()
                    with client:
                        answer(client)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield Backend(Place("127.0.0.1", listener.getsockname()[1]))
        ended.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def hang(client: socket.socket) -> None:
    while client.recv(1 << 16):
        pass


def drip(client: socket.socket) -> None:
    client.recv(1 << 16)
    client.sendall(b"$1000\r\n")
    with contextlib.suppress(OSError):
        while True:
            client.sendall(b"x")
            time.sleep(0.05)


@pytest.mark.parametrize("answer", [hang, drip])
def test_a_backend_that_hangs_or_drips_is_given_up(
    pool: Pool, answer: Callable[[socket.socket], None]
) -> None:
    with talk(answer) as slow:
        start = time.monotonic()
        with pytest.raises(UnreachableError, match=str(slow.place.port)):
            Servers(pool).get(slow, b"key")
        assert time.monotonic() - start < 3
        start = time.monotonic()
        with pytest.raises(UnreachableError):
            Servers(pool).get(slow, b"key")
        assert time.monotonic() - start < 0.4, "it is left alone for a while"


def test_a_backend_that_is_down_does_not_stop_the_others(pool: Pool, four: Farm) -> None:
    meta = four.make("meta", "user")
    servers = Servers(pool)
    servers.put(meta, b"key", b"value")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        down = Backend(Place("127.0.0.1", listener.getsockname()[1]))
    results = pool.run([lambda b=b: servers.get(b, b"key") for b in (down, meta, down)])  # type: ignore[misc]
    assert results[1] == b"value"
    assert isinstance(results[0], UnreachableError)
    assert isinstance(results[2], UnreachableError)


def test_what_speaks_another_protocol_is_told(pool: Pool) -> None:
    def web(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with talk(web) as other:
        with pytest.raises(BackendError, match="does not speak RESP"):
            Servers(pool).get(other, b"key")


def test_closing_the_pool_ends_calls_that_wait() -> None:
    with talk(hang) as slow:
        pool = Pool(Patience(answer_s=60))
        with pool:
            future = pool.submit(lambda: Servers(pool).get(slow, b"key"))
            deadline = time.monotonic() + 10
            while not pool.open and time.monotonic() < deadline:
                time.sleep(0.01)
            start = time.monotonic()
        assert time.monotonic() - start < 5
        assert isinstance(future.exception(5), UnreachableError)
