"""Which connections end when there are too many, and what waits for clients that do not read."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.zinit.fake_system import World
from zinit.control import server as module
from zinit.control.api import Api
from zinit.control.server import Server
from zinit.files.folder import Folder
from zinit.log.ring import Ring
from zinit.loop import Loop

LINE = b"[+] a: " + b"x" * 1000
TOKEN = "secret"


class Clients:
    """A server without listeners, and our ends of its connections."""

    def __init__(self) -> None:
        world = World(a="exec: run")
        self.api = Api(world.manager, Ring(4000), Folder("/nowhere", world.system.report))
        self.loop = Loop(world.system.now, world.system.fault)
        self.server = Server(self.loop, self.api)
        self._ours: list[socket.socket] = []

    def connect(self, token: str = "", data: bytes = b"") -> socket.socket:
        """Connect and send `data`."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        if data:
            ours.sendall(data)
        self._ours.append(ours)
        self.server._add_client(theirs.detach(), token)
        return ours

    def turn(self) -> None:
        """Handle what has arrived."""
        self.loop._wait(0.0)
        self.server.turn(self.api.now())

    def close(self) -> None:
        self.server.close()
        self.loop.close()
        for sock in self._ours:
            sock.close()


@pytest.fixture
def clients() -> Iterator[Clients]:
    made = Clients()
    yield made
    made.close()


def is_open(sock: socket.socket) -> bool:
    """Return whether the server has not closed a connection; drops what it has sent."""
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False
    return False


def read_all(clients: Clients, sock: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    data = b""
    for _ in range(100_000):
        try:
            part = sock.recv(65536)
        except BlockingIOError:
            clients.turn()
            continue
        if not part:
            return data
        data += part
    raise AssertionError("the reply does not end")


def test_clients_without_the_token_push_out_only_each_other(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLIENT_LIMIT", 4)
    follower = clients.connect(data=b"log\n")
    head = f"GET / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nUpgrade: websocket\r\n\r\n"
    trusted = clients.connect(TOKEN, head.encode())
    strangers = [clients.connect(TOKEN) for _ in range(10)]
    assert is_open(follower)
    assert is_open(trusted)
    assert [is_open(one) for one in strangers] == [False] * 8 + [True] * 2
    root = [clients.connect(data=b"log\n") for _ in range(2)]
    assert not any(is_open(one) for one in strangers)
    late = clients.connect(TOKEN)  # there is no stranger that it could push out
    assert not is_open(late)
    assert all(is_open(one) for one in (follower, trusted, *root))


def test_a_copy_of_the_log_that_nobody_reads_costs_little(clients: Clients) -> None:
    for _ in range(3500):
        clients.api.ring.append(LINE)
    copies = [clients.connect(data=b"log snapshot\n") for _ in range(20)]
    held: list[Any] = list(clients.server._clients.values())
    assert max(len(one.outgoing) for one in held) <= 300 * len(LINE)
    copies[1].shutdown(socket.SHUT_WR)  # it still gets everything
    for _ in range(10):
        clients.api.ring.append(b"late")
    for sock in copies[:2]:
        assert read_all(clients, sock) == (LINE + b"\n") * 3500


def test_a_copy_of_an_empty_log_ends(clients: Clients) -> None:
    assert read_all(clients, clients.connect(data=b"log snapshot\n")) == b""


def test_all_unread_replies_together_are_bounded(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_LIMIT", 8 << 20)
    for _ in range(3500):
        clients.api.ring.append(LINE)
    ask = b'{"jsonrpc":"2.0","id":1,"method":"stream_currentLogs","params":[]}'
    socks = [clients.connect(data=ask) for _ in range(10)]
    held: list[Any] = list(clients.server._clients.values())
    assert 0 < len(held) < 4
    assert sum(len(one.outgoing) for one in held) <= 8 << 20
    assert not is_open(socks[0])
