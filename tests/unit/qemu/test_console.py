"""The console: bytes to lines, what is found in them, waits with a deadline."""

import itertools
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu.console import MAX_LINE_CHARS, Console, ConsoleBuffer
from qemu.errors import MachineEndedError, WaitTimeoutError


def texts(*pieces: bytes) -> list[str]:
    """Return the lines that `pieces` make, the unfinished one last."""
    buffer = ConsoleBuffer()
    for number, piece in enumerate(pieces):
        buffer.feed(piece, float(number))
    return [line.text for line in buffer.since(0)]


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"one\r\ntwo\n"], ["one", "two"]),
        ([b"one\r", b"\ntwo"], ["one", "two"]),
        ([b"10%\r20%\r"], ["10%", "20%"]),
        ([b"\r\n\r\n"], []),
        ([b"gr\xc3", b"\xbcn\n"], ["gr\u00fcn"]),
        ([b"bad \xff byte\n"], ["bad \ufffd byte"]),
        # As OVMF writes: colours, mode changes, and the cursor moved where a line should begin.
        (
            [b"\x1b[2J\x1b[01;01H\x1b[=3h\x1b[2JBds\x1b[0m\x1b[37mDxe\x1b[02;01Hnext"],
            ["BdsDxe", "next"],
        ),
        ([b"a\x1b", b"[1", b";31mb\n"], ["ab"]),
        ([b"a\x1b[1;31"], ["a"]),
        ([b"\x1b]0;title\x07text\n"], ["text"]),
        ([b"bell\x07 and\x00 nul  \n"], ["bell and nul"]),
    ],
)
def test_bytes_become_lines(pieces: list[bytes], lines: list[str]) -> None:
    assert texts(*pieces) == lines


TRICKY = st.sampled_from(
    [
        b"\x1b",
        b"[",
        b"1;2",
        b"H",
        b"m",
        b"]",
        b"\x07",
        b"(",
        b"B",
        b"\r",
        b"\n",
        b"a",
        b" ",
        b"\xc3",
        b"\xbc",
        b"\x00",
    ]
)


@given(
    st.one_of(st.binary(max_size=99), st.lists(TRICKY, max_size=60).map(b"".join)),
    st.lists(st.integers(0, 99), max_size=5),
)
def test_how_the_bytes_are_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert texts(*pieces) == texts(data)


def test_it_is_bounded() -> None:
    buffer = ConsoleBuffer(max_lines=3)
    buffer.feed(b"".join(b"%d\n" % number for number in range(10)), 1.0)
    assert [line.number for line in buffer.since(0)] == [7, 8, 9]
    assert [line.text for line in buffer.since(9)] == ["9"]
    endless = ConsoleBuffer()
    for _ in range(100):
        endless.feed(b"x" * 1000, 1.0)
    assert len(endless.rest) <= MAX_LINE_CHARS
    assert endless.next_number > 1


def test_lines_are_numbered_and_timed() -> None:
    buffer = ConsoleBuffer()
    assert buffer.feed(b"o", 1.0) == []
    (line,) = buffer.feed(b"ne\ntw", 2.0)
    assert line == (0, 2.0, "one")
    assert buffer.partial() == (1, 2.0, "tw")
    assert buffer.find("tw", 0, is_settled=False) is None
    assert buffer.find("tw", 0, is_settled=True) == (1, 2.0, "tw")
    assert buffer.find("one", 1, is_settled=True) is None
    assert buffer.find(re.compile("^o.e$"), 0, is_settled=False) == line


@pytest.fixture
def serial(tmp_path: Path) -> Iterator[tuple[Console, socket.socket]]:
    """Yield a console that runs, and the machine's end of its wire."""
    ours, theirs = socket.socketpair()
    console = Console(ours, tmp_path / "console.log", time.monotonic())
    console.start()
    with theirs:
        yield console, theirs
    console.close()


def test_a_wait_ends_with_the_text(serial: tuple[Console, socket.socket]) -> None:
    console, wire = serial
    timer = threading.Timer(0.2, wire.sendall, [b"noise\nlogin: "])
    timer.start()
    assert console.wait_for("login:", 30).text == "login:"
    timer.join()
    assert console.position == 1


def test_a_whole_line_is_waited_for(
    serial: tuple[Console, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qemu.console.POLL_S", 30)  # no pause is taken for the line's end
    console, wire = serial
    wire.sendall(b"address 10.0.")
    timer = threading.Timer(0.05, wire.sendall, [b"2.15\n"])
    timer.start()
    assert console.wait_for("address", 60).text == "address 10.0.2.15"
    timer.join()


def test_a_wait_fails_at_its_deadline(serial: tuple[Console, socket.socket]) -> None:
    console, wire = serial
    wire.sendall(b"booting\n")
    console.wait_for("booting", 30)
    with pytest.raises(WaitTimeoutError, match=r"no /log\+in/ .* within 0.3 s;(.|\n)*booting"):
        console.wait_for(re.compile("log+in"), 0.3)


def test_a_wait_fails_when_the_other_side_is_gone(serial: tuple[Console, socket.socket]) -> None:
    console, wire = serial
    wire.sendall(b"last words")
    wire.close()
    assert console.wait_for("last words", 30)
    with pytest.raises(MachineEndedError, match=r"it burned;(.|\n)*last words"):
        console.wait_for("login:", 60, why_ended=lambda: "it burned")


def test_a_wait_fails_when_the_machine_goes_no_further(
    serial: tuple[Console, socket.socket],
) -> None:
    console, wire = serial
    wire.sendall(b"Kernel panic\n")
    assert console.wait_for("panic", 10, why_ended=lambda: "the guest panicked")
    with pytest.raises(MachineEndedError, match="the guest panicked"):
        console.wait_for("login:", 60, why_ended=lambda: "the guest panicked")


def test_typing_reaches_the_machine(serial: tuple[Console, socket.socket]) -> None:
    console, wire = serial
    console.send("root\n")
    wire.settimeout(30)
    assert wire.recv(100) == b"root\n"
