"""The monitor with a simulated QEMU that is slow, refuses commands or disconnects."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from qemu.errors import MachineEndedError, MachineError, WaitTimeoutError
from qemu.monitor import Monitor

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}}, "capabilities": []}}
OPEN_S = 60


def read_requests(link: socket.socket) -> Iterator[dict[str, object]]:
    """Yield the requests; they are JSON values without a separator."""
    text = ""
    while data := link.recv(4096):
        text += data.decode()
        with contextlib.suppress(json.JSONDecodeError):
            while text := text.lstrip():
                asked, end = json.JSONDecoder().raw_decode(text)
                text = text[end:]
                yield asked


def play(link: socket.socket) -> None:
    """Greet, then reject `bad`, disconnect on `leave`, ignore `slow`, and answer the rest."""
    with link:
        link.sendall(json.dumps(GREETING).encode() + b"\r\n")
        for asked in read_requests(link):
            answer: dict[str, object] = {key: asked[key] for key in ("id",) if key in asked}
            match asked["execute"]:
                case "slow":
                    continue
                case "leave":
                    return
                case "bad":
                    answer["error"] = {"class": "GenericError", "desc": "no"}
                case _:
                    answer["return"] = {"x": 1}
            link.sendall(json.dumps(answer).encode() + b"\r\n")


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=play, args=(theirs,))
    thread.start()
    monitor = Monitor(ours, 0)
    try:
        monitor.open(OPEN_S)
        yield monitor
    finally:
        monitor.close()
        thread.join(OPEN_S)


def test_a_result_and_an_error(monitor: Monitor) -> None:
    assert monitor.execute("query-x") == {"x": 1}
    with pytest.raises(MachineError, match="refused bad: no"):
        monitor.execute("bad")


def test_a_slow_answer_times_out_and_the_session_continues(monitor: Monitor) -> None:
    with pytest.raises(WaitTimeoutError, match=r"did not answer slow within 0.2 s"):
        monitor.execute("slow", timeout_s=0.2)
    assert not monitor.wait_for_close(0.1)
    assert monitor.execute("query-x") == {"x": 1}


def test_a_disconnect_is_reported_as_the_end(monitor: Monitor) -> None:
    with pytest.raises(MachineEndedError, match="cannot leave: QEMU's monitor is closed"):
        monitor.execute("leave")
    assert monitor.wait_for_close(OPEN_S)
    with pytest.raises(MachineEndedError, match="cannot query-x"):
        monitor.execute("query-x")


def test_a_missing_greeting_times_out() -> None:
    ours, theirs = socket.socketpair()
    monitor = Monitor(ours, 0)
    try:
        with theirs, pytest.raises(WaitTimeoutError, match="did not answer greet"):
            monitor.open(0.2)
    finally:
        monitor.close()
