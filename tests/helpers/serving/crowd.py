"""Thousands of clients that misbehave, from many addresses of the loopback.

They are sockets of this process; one thread lets those that drip send a byte now and then.
"""

import contextlib
import itertools
import resource
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

HEAD = "{method} {path} HTTP/1.1\r\nHost: x\r\n"
PER_ADDRESS = 500
RECEIVE_BYTES = 4096
DRIP_S = 0.5
CONNECT_S = 60.0


class Kind(NamedTuple):
    """One way to misbehave: what is sent at once, and what happens then."""

    name: str
    text: str
    is_dripping: bool = False
    is_half_closed: bool = False
    is_read: bool = False  # the first response is


def make_kinds(large: str) -> list[Kind]:
    """Return the mix; `large` is the path of a large file."""
    get = HEAD.format(method="GET", path=large)
    post = HEAD.format(method="POST", path=large) + "Content-Length: 1000000\r\n\r\n"
    return [
        Kind("silent", ""),
        Kind("half a request line", "GET /hea"),
        Kind("dripping head", get + "X-Long: ", is_dripping=True),
        Kind("dripping body", post, is_dripping=True),
        Kind("reads nothing", get + "\r\n"),
        Kind("idle", HEAD.format(method="HEAD", path=large) + "\r\n", is_read=True),
        Kind("half-closed, reads nothing", get + "\r\n", is_half_closed=True),
        Kind("half-closed, half a head", get, is_half_closed=True),
    ]


def raise_file_limit(count: int) -> None:
    """Allow this process to open `count` files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        assert hard == resource.RLIM_INFINITY or hard >= count, f"the limit is {hard} files"
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def connect(address: tuple[str, int], number: int, kind: Kind) -> socket.socket:
    """Return a client that has said what its kind says at once."""
    sock = socket.socket()
    sock.settimeout(CONNECT_S)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    sock.bind((f"127.0.1.{1 + number // PER_ADDRESS}", 0))
    # From here on the server may close the connection, to make room for others.
    with contextlib.suppress(OSError):
        sock.connect(address)
        sock.sendall(kind.text.encode())
        if kind.is_half_closed:
            sock.shutdown(socket.SHUT_WR)
        if kind.is_read:
            sock.recv(RECEIVE_BYTES)
    return sock


@contextlib.contextmanager
def crowd(address: tuple[str, int], count: int, large: str) -> Iterator[None]:
    """Keep `count` clients of all kinds connected while the block runs."""
    raise_file_limit(count + 1000)
    clients: list[socket.socket] = []
    dripping: list[socket.socket] = []
    is_over = threading.Event()
    thread = threading.Thread(target=drip, args=(dripping, is_over))
    thread.start()
    try:
        for number, kind in zip(range(count), itertools.cycle(make_kinds(large)), strict=False):
            sock = connect(address, number, kind)
            clients.append(sock)
            if kind.is_dripping:
                dripping.append(sock)
        yield
    finally:
        is_over.set()
        thread.join()
        for sock in clients:
            sock.close()


def drip(clients: Sequence[socket.socket], is_over: threading.Event) -> None:
    """Send one byte for each client every `DRIP_S`."""
    while not is_over.wait(DRIP_S):
        for sock in list(clients):
            with contextlib.suppress(OSError):
                sock.send(b"x", socket.MSG_DONTWAIT)
