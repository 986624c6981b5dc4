"""The commands for a guest, carried out by an agent in a thread; no machine runs."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu import agent
from qemu.agentlink import AgentLink
from qemu.errors import GuestError, WaitTimeoutError
from qemu.guest import Guest, words_of

PYTHON = "/usr/bin/env python3 -c"


@pytest.fixture
def guest() -> Iterator[Guest]:
    """Yield a guest whose agent runs in a thread."""
    ours, theirs = socket.socketpair()
    stream = theirs.makefile("rwb", buffering=0)
    thread = threading.Thread(target=agent.serve, args=(stream, stream, lambda: False))
    thread.start()
    with ours, theirs, stream:
        yield Guest(AgentLink(ours))
        ours.shutdown(socket.SHUT_RDWR)
        thread.join(20)
        assert not thread.is_alive()


def test_programs_run_without_a_shell(guest: Guest) -> None:
    done = guest.execute([*PYTHON.split(), "import sys; print('out $HOME'); sys.exit(3)"])
    assert (done.status, done.stdout) == (3, "out $HOME\n")
    assert guest.succeed("echo 'two words' $HOME") == "two words $HOME\n"
    assert guest.execute(["cat"], stdin=b"through").stdout == "through"
    assert words_of("a 'b c'") == ["a", "b c"]


def test_succeed_and_fail_check_the_exit_status(guest: Guest) -> None:
    assert guest.fail("false") == ""
    with pytest.raises(GuestError, match=r"true ended with status 0"):
        guest.fail("true")
    with pytest.raises(GuestError, match=r"ls /nope ended with status 2: .*No such file"):
        guest.succeed("ls /nope")
    with pytest.raises(GuestError, match=r"execute failed on the guest: FileNotFoundError"):
        guest.succeed("no-such-program")


def test_a_program_is_killed_at_its_deadline_with_all_its_children(guest: Guest) -> None:
    """A child that survived would keep the output open."""
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


def test_a_wait_that_fails_shows_the_last_exit_status(guest: Guest, tmp_path: Path) -> None:
    path = tmp_path / "later"
    timer = threading.Timer(0.5, path.touch)
    timer.start()
    assert guest.wait_until_succeeds(["ls", str(path)], timeout_s=60) == f"{path}\n"
    timer.join()
    path.unlink()
    assert guest.wait_until_fails(["ls", str(path)], timeout_s=60) == ""
    # Every run of the program has the same deadline.
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
