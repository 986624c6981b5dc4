"""Calls over a real socket: results, streams, errors, callers, and what is no call."""

import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.ipc import server as servers
from common.ipc.client import call, stream
from common.ipc.errors import IpcError, UnreachableError
from common.ipc.lines import LINE_MAX_BYTES
from common.ipc.server import Method, Peer, Server
from tests.helpers.waiting import wait_until

NOBODY = frozenset({12345})


def greet(peer: Peer, name: str) -> str:
    assert peer.uid == os.geteuid()
    return f"hello {name}"


def count(_: Peer, to: int) -> Iterator[int]:
    yield from range(to)


def refuse(_: Peer) -> None:
    raise IpcError("cannot do it: no", hint="ask later", code="later")


METHODS = {"greet": Method(greet), "count": Method(count), "refuse": Method(refuse)}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with Server(tmp_path / "socket", METHODS):
        yield tmp_path / "socket"


def test_a_call_has_a_result_or_a_stream(place: Path) -> None:
    assert call(place, "greet", name="farmer") == "hello farmer"
    assert list(stream(place, "count", to=3)) == [0, 1, 2]
    assert list(stream(place, "count", to=0)) == []


def test_errors_reach_the_caller(place: Path) -> None:
    with pytest.raises(IpcError, match="no") as caught:
        call(place, "refuse")
    assert (caught.value.hint, caught.value.code) == ("ask later", "later")
    with pytest.raises(IpcError, match="no method 'nothing'"):
        call(place, "nothing")
    with pytest.raises(IpcError, match="cannot call greet"):
        call(place, "greet", other=1)


def test_only_those_who_may_call_are_answered() -> None:
    method = Method(greet, NOBODY)
    assert method.is_open_to(12345)
    assert method.is_open_to(0)
    assert not method.is_open_to(12346)
    assert Method(greet).is_open_to(12346)


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{\n", b"\xff\n", b"[" * 100_000 + b"\n"])
def test_what_is_no_call_is_refused_in_words(place: Path, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(place))
        connection.sendall(line)
        assert b"not an object in JSON" in connection.recv(4096)


def test_endless_lines_are_cut(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(place))
        with pytest.raises(OSError):
            while True:
                connection.sendall(b" " * LINE_MAX_BYTES)


def test_no_more_calls_than_allowed_wait(place: Path) -> None:
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(servers.CONNECTIONS_MAX)]
    try:
        for one in waiting:
            one.connect(str(place))
        with pytest.raises(UnreachableError):
            call(place, "greet", name="late")
        waiting.pop().close()
        wait_until(lambda: is_answered(place), "a place is free", 30)
    finally:
        for one in waiting:
            one.close()


def is_answered(place: Path) -> bool:
    try:
        return bool(call(place, "greet", name="x") == "hello x")
    except UnreachableError:
        return False


def test_without_a_server_the_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="No such file"):
        call(tmp_path / "socket", "greet")
    with Server(tmp_path / "socket", METHODS):
        pass
    with pytest.raises(UnreachableError, match="refused"):
        call(tmp_path / "socket", "greet")


@pytest.mark.parametrize("lack", [*servers.LACKS, errno.ECONNABORTED])
def test_a_lack_of_the_system_ends_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lack: int
) -> None:
    accept, faults = socket.socket.accept, [OSError(lack, "not now")]

    def scarce(listener: socket.socket) -> object:
        if faults:
            raise faults.pop()
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", scarce)
    monkeypatch.setattr(servers, "BREATH_S", 0.01)
    with Server(tmp_path / "socket", METHODS):
        assert call(tmp_path / "socket", "greet", name="farmer") == "hello farmer"
    assert not faults


def test_calls_without_a_thread_end_and_take_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Server(tmp_path / "socket", METHODS, connections_max=2) as server:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", lack)
            for _ in range(3):
                with pytest.raises(UnreachableError):
                    call(server.path, "greet", name="farmer")
        assert call(server.path, "greet", name="farmer") == "hello farmer"
