"""The words to a guest, and the agent that answers them, over a socket pair: no machine."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qemu import agent
from qemu.errors import GuestError, MachineEndedError, WaitTimeoutError
from qemu.guest import Guest, words_of

PYTHON = "/usr/bin/env python3 -c"


@pytest.fixture
def guest() -> Iterator[Guest]:
    """Yield words to an agent that runs in a thread."""
    ours, theirs = socket.socketpair()
    stream = theirs.makefile("rwb", buffering=0)
    thread = threading.Thread(target=agent.serve, args=(stream, stream, lambda: False))
    thread.start()
    with ours, theirs, stream:
        yield Guest(ours)
        ours.shutdown(socket.SHUT_RDWR)
        thread.join(20)
        assert not thread.is_alive()


Answer = Callable[[dict[str, object]], bytes]


@pytest.fixture
def scripted() -> Iterator[Callable[[Answer], Guest]]:
    """Yield a function that makes words to an agent which answers as a function says."""
    threads: list[threading.Thread] = []
    ends: list[socket.socket] = []

    def make(answer: Answer) -> Guest:
        ours, theirs = socket.socketpair()
        ends.extend([ours, theirs])

        def run() -> None:
            with theirs, theirs.makefile("rb") as lines:
                for line in lines:
                    theirs.sendall(answer(json.loads(line)))

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return Guest(ours)

    yield make
    for end in ends[::2]:
        end.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(20)
    for end in ends:
        end.close()


def test_programs_run_without_a_shell(guest: Guest) -> None:
    done = guest.execute([*PYTHON.split(), "import sys; print('out $HOME'); sys.exit(3)"])
    assert (done.status, done.stdout) == (3, "out $HOME\n")
    assert guest.succeed("echo 'two words' $HOME") == "two words $HOME\n"
    assert guest.execute(["cat"], stdin=b"through").stdout == "through"
    assert words_of("a 'b c'") == ["a", "b c"]


def test_succeed_and_fail_check_how_it_ended(guest: Guest) -> None:
    assert guest.fail("false") == ""
    with pytest.raises(GuestError, match=r"true ended with status 0"):
        guest.fail("true")
    with pytest.raises(GuestError, match=r"ls /nope ended with status 2: .*No such file"):
        guest.succeed("ls /nope")
    with pytest.raises(GuestError, match=r"execute failed on the guest: FileNotFoundError"):
        guest.succeed("no-such-program")


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(guest: Guest) -> None:
    """Also what it started holds the pipes no longer."""
    began = time.monotonic()
    with pytest.raises(WaitTimeoutError, match=r"did not end within 3 s.*started"):
        guest.execute(["sh", "-c", "echo started; sleep 999 & wait"], timeout_s=3)
    assert time.monotonic() - began < 99
    assert guest.succeed("echo next") == "next\n"


def test_python_runs_on_the_guest(guest: Guest) -> None:
    assert guest.python("print(6 * 7)") == "42\n"
    with pytest.raises(GuestError, match="ZeroDivisionError"):
        guest.python("1 / 0")


def test_files_and_ports(guest: Guest, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(WaitTimeoutError, match=rf"no file {path} on the guest within 0.3 s"):
        guest.wait_for_file(str(path), timeout_s=0.3)
    guest.write_file(str(path), b"\0data\xff")
    guest.wait_for_file(str(path), timeout_s=5)
    assert guest.read_file(str(path)) == b"\0data\xff"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        guest.wait_for_open_port(port, timeout_s=10)
        with pytest.raises(WaitTimeoutError, match=f"port {port} closed"):
            guest.wait_for_closed_port(port, timeout_s=0.3)
    guest.wait_for_closed_port(port, timeout_s=10)


def test_waiting_for_a_program_shows_how_it_ended_last(guest: Guest, tmp_path: Path) -> None:
    path = tmp_path / "later"
    timer = threading.Timer(0.5, path.touch)
    timer.start()
    assert guest.wait_until_succeeds(["ls", str(path)], timeout_s=60) == f"{path}\n"
    timer.join()
    path.unlink()
    assert guest.wait_until_fails(["ls", str(path)], timeout_s=60) == ""
    # Every call of the program has as long to end.
    with pytest.raises(WaitTimeoutError, match=r"no ls .* succeeding .* status 2: .*No such"):
        guest.wait_until_succeeds(["ls", str(path)], timeout_s=3)


def test_a_bad_request_does_not_end_the_agent(guest: Guest) -> None:
    with pytest.raises(GuestError, match="KeyError: 'nonsense'"):
        guest.ask({"do": "nonsense"})
    assert "error" in agent.answer(b"not json")
    assert guest.succeed("echo alive") == "alive\n"


def test_large_output_comes_back_whole(guest: Guest) -> None:
    done = guest.execute([*PYTHON.split(), "print('x' * 3_000_000)"])
    assert len(done.stdout) == 3_000_001


def test_an_agent_that_never_answers_is_told() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(WaitTimeoutError, match=r"agent did not answer within 0.3 s"):
            Guest(ours).wait_until_ready(timeout_s=0.3)


def test_an_agent_that_comes_after_more_pings_than_are_kept_is_no_loss() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(b"\n")
        with pytest.raises(WaitTimeoutError, match="agent did not answer"):
            Guest(ours).wait_until_ready(timeout_s=0.3)


def test_a_machine_that_ended_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qemu.guest.EXIT_DEADLINE_S", 0.1)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(MachineEndedError, match="it burned"):
            Guest(ours, lambda: "it burned").succeed("true")
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(MachineEndedError, match="its port was closed"):
        Guest(ours).succeed("true")


def test_what_a_crash_left_half_written_is_passed_over(
    scripted: Callable[[Answer], Guest],
) -> None:
    def answer(request: dict[str, object]) -> bytes:
        reply = json.dumps({"id": request["id"], "value": True}).encode()
        return b'{"id": 1, "val\n[1]\n{"id": 999, "value": 0}\n' + reply + b"\n"

    guest = scripted(answer)
    guest.wait_for_file("/x", timeout_s=10)


def test_an_agent_that_restarts_during_a_request_is_told(
    scripted: Callable[[Answer], Guest],
) -> None:
    def answer(request: dict[str, object]) -> bytes:
        if request["do"] == "ping":
            return json.dumps({"id": request["id"], "value": "pong"}).encode() + b"\n"
        return b'{"hello": 1}\n'

    with pytest.raises(GuestError, match="agent was restarted during execute"):
        scripted(answer).succeed("reboot")


def test_the_port_is_found_by_its_name(tmp_path: Path) -> None:
    assert agent.find_port(tmp_path, 0.2) is None
    for name, text in (("vport1p1", "other\n"), ("null", f"{agent.PORT_NAME}\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(text)
    assert agent.find_port(tmp_path, 5) == Path("/dev/null")


def test_both_sides_name_the_same_port() -> None:
    from qemu.args import AGENT_PORT

    assert agent.PORT_NAME == AGENT_PORT


def test_the_agent_needs_only_the_standard_library() -> None:
    text = Path(agent.__file__).read_text()
    assert "from qemu" not in text
    assert "from common" not in text
