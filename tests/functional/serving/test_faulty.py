"""The faults that tests of clients use, as a client sees them."""

import contextlib
import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.serving.faulty import Fault, FaultyApp
from tests.helpers.serving.tiny import TinySettings, create_app

BODY = bytes(range(256)) * 1000
REQUEST = b"GET /file/body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ANSWER_S = 60.0
STALL_S = 1.0


@pytest.fixture
def app(tmp_path: Path) -> FaultyApp:
    (tmp_path / "body").write_bytes(BODY)
    return FaultyApp(create_app(TinySettings(folder=tmp_path)))


@pytest.fixture
def address(app: FaultyApp) -> Iterator[tuple[str, int]]:
    listener = open_listener("127.0.0.1", 0)
    with serve_in_thread(app, listener):
        yield listener.getsockname()


def ask(address: tuple[str, int], timeout_s: float = ANSWER_S) -> tuple[bytes, str]:
    """Return what was received, and how that ended."""
    data = b""
    with socket.create_connection(address, timeout_s) as sock:
        sock.sendall(REQUEST)
        with contextlib.suppress(TimeoutError):
            try:
                while piece := sock.recv(1 << 16):
                    data += piece
            except ConnectionResetError:
                return data, "reset"
            return data, "closed"
    return data, "stalled"


def test_each_fault_is_what_its_name_says(app: FaultyApp, address: tuple[str, int]) -> None:
    head, _, body = ask(address)[0].partition(b"\r\n\r\n")
    assert body == BODY
    size = len(head) + 4

    def receive(fault: Fault, timeout_s: float = ANSWER_S) -> tuple[int, str]:
        app.fault = fault
        data, end = ask(address, timeout_s)
        assert app.hits["/file/body"] > 0
        good = (ours == theirs for ours, theirs in zip(data[size:], BODY, strict=False))
        return sum(itertools.takewhile(bool, good)), end

    assert receive(Fault("stall", "/body", 70_000), STALL_S) == (70_000, "stalled")
    assert receive(Fault("truncate", "/body", 70_000)) == (70_000, "closed")
    assert receive(Fault("alter", "/body", 70_000)) == (70_000, "closed")
    at, end = receive(Fault("reset", "/body", 70_000))
    assert (at <= 70_000, end) == (True, "reset")
    app.fault = Fault("refuse", "/body")
    assert ask(address)[0].startswith(b"HTTP/1.1 503 ")
    app.fault = Fault("refuse", "/other")
    assert ask(address)[0].partition(b"\r\n\r\n")[2] == BODY
