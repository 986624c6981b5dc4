"""The connection to the agent: time-outs, broken lines, restarts, and the end of the machine."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from qemu.agentlink import AgentLink
from qemu.errors import GuestError, MachineEndedError, WaitTimeoutError

EXECUTE = {"do": "execute", "argv": ["true"], "stdin": "", "timeout_s": 60}
Answer = Callable[[dict[str, object]], bytes]


@pytest.fixture
def scripted() -> Iterator[Callable[[Answer], AgentLink]]:
    """Yield a function that connects to an agent whose replies another function makes."""
    threads: list[threading.Thread] = []
    ends: list[socket.socket] = []

    def make(answer: Answer) -> AgentLink:
        ours, theirs = socket.socketpair()
        ends.extend([ours, theirs])

        def run() -> None:
            with theirs, theirs.makefile("rb") as lines:
                for line in lines:
                    theirs.sendall(answer(json.loads(line)))

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return AgentLink(ours)

    yield make
    for end in ends[::2]:
        end.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(20)
    for end in ends:
        end.close()


def test_an_agent_that_never_answers() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(WaitTimeoutError, match=r"agent did not answer within 0.3 s"):
            AgentLink(ours).wait_until_ready(timeout_s=0.3)


def test_a_port_that_is_full_times_out() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(b"\n")
        with pytest.raises(WaitTimeoutError, match="agent did not answer"):
            AgentLink(ours).wait_until_ready(timeout_s=0.3)


def test_the_end_of_the_machine_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qemu.agentlink.EXIT_DEADLINE_S", 0.1)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(MachineEndedError, match="it burned"):
            AgentLink(ours, lambda: "it burned").ask(EXECUTE, 60)
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(MachineEndedError, match="its port was closed"):
        AgentLink(ours).ask(EXECUTE, 60)


def test_lines_that_a_crash_cut_short_are_ignored(
    scripted: Callable[[Answer], AgentLink],
) -> None:
    def answer(request: dict[str, object]) -> bytes:
        reply = json.dumps({"id": request["id"], "value": True}).encode()
        return b'{"id": 1, "val\n[1]\n{"id": 999, "value": 0}\n' + reply + b"\n"

    assert scripted(answer).ask({"do": "exists", "path": "/x"}, 10) is True


def test_a_restart_during_a_request_is_an_error(
    scripted: Callable[[Answer], AgentLink],
) -> None:
    def answer(request: dict[str, object]) -> bytes:
        if request["do"] == "ping":
            return json.dumps({"id": request["id"], "value": "pong"}).encode() + b"\n"
        return b'{"hello": 1}\n'

    with pytest.raises(GuestError, match="agent was restarted during execute"):
        scripted(answer).ask(EXECUTE, 60)
