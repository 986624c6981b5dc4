"""The console's thread: waits with a deadline, and their errors."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu.console import Console
from qemu.errors import MachineEndedError, WaitTimeoutError


@pytest.fixture
def serial(tmp_path: Path) -> Iterator[tuple[Console, socket.socket]]:
    """Yield a running console, and the machine's end of its serial line."""
    ours, theirs = socket.socketpair()
    console = Console(ours, tmp_path / "console.log", time.monotonic())
    console.start()
    with theirs:
        yield console, theirs
    console.close()


def test_a_wait_ends_with_the_text(serial: tuple[Console, socket.socket]) -> None:
    console, machine = serial
    timer = threading.Timer(0.2, machine.sendall, [b"noise\nlogin: "])
    timer.start()
    assert console.wait_for("login:", 30).text == "login:"
    timer.join()
    assert console.position == 1


def test_a_wait_returns_a_whole_line(
    serial: tuple[Console, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qemu.console.POLL_S", 30)  # never take a pause for the end of a line
    console, machine = serial
    machine.sendall(b"address 10.0.")
    timer = threading.Timer(0.05, machine.sendall, [b"2.15\n"])
    timer.start()
    assert console.wait_for("address", 60).text == "address 10.0.2.15"
    timer.join()


def test_a_wait_fails_at_its_deadline(serial: tuple[Console, socket.socket]) -> None:
    console, machine = serial
    machine.sendall(b"booting\n")
    console.wait_for("booting", 30)
    with pytest.raises(WaitTimeoutError, match=r"no /log\+in/ .* within 0.3 s;(.|\n)*booting"):
        console.wait_for(re.compile("log+in"), 0.3)


def test_a_wait_fails_when_the_machine_closes_the_line(
    serial: tuple[Console, socket.socket],
) -> None:
    console, machine = serial
    machine.sendall(b"last words")
    machine.close()
    assert console.wait_for("last words", 30)
    with pytest.raises(MachineEndedError, match=r"it burned;(.|\n)*last words"):
        console.wait_for("login:", 60, why_ended=lambda: "it burned")


def test_a_wait_fails_when_the_machine_has_stopped(
    serial: tuple[Console, socket.socket],
) -> None:
    console, machine = serial
    machine.sendall(b"Kernel panic\n")
    assert console.wait_for("panic", 10, why_ended=lambda: "the guest panicked")
    with pytest.raises(MachineEndedError, match="the guest panicked"):
        console.wait_for("login:", 60, why_ended=lambda: "the guest panicked")


def test_sent_text_reaches_the_machine(serial: tuple[Console, socket.socket]) -> None:
    console, machine = serial
    console.send("root\n")
    machine.settimeout(30)
    assert machine.recv(100) == b"root\n"


def test_a_machine_that_reads_nothing_does_not_block_the_sender(
    serial: tuple[Console, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qemu.console.SEND_S", 0.2)
    console, machine = serial
    with pytest.raises(WaitTimeoutError, match="the machine takes no keys"):
        console.send("x" * (8 << 20))
    machine.close()
    with pytest.raises(MachineEndedError, match="it has ended"):
        console.send("x")
