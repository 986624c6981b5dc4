"""The console loses whole lines when nobody reads it, and never blocks."""

import fcntl
import os
import pty
import socket
import tempfile
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from zinit.log.console import Console

LINE = b"x" * 99 + b"\n"


class Ends:
    """Both ends of something that zinit gets as its stderr."""

    def __init__(self, kind: str) -> None:
        if kind == "socket":
            self.ours, self.theirs = (sock.detach() for sock in socket.socketpair())
        elif kind == "terminal":
            self.ours, self.theirs = pty.openpty()
            tty.setraw(self.theirs)
        else:
            self.ours, self.theirs = os.pipe()
        os.set_blocking(self.ours, False)

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)

    def read(self) -> bytes:
        """Return what can be read now."""
        data = b""
        try:
            while part := os.read(self.ours, 65536):
                data += part
        except BlockingIOError:
            pass
        return data


@pytest.fixture(params=["pipe", "socket", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """A pipe, a socket or a terminal."""
    both = Ends(request.param)
    yield both
    both.close()


@pytest.mark.parametrize("path", ["/proc/self/fd/{}", "/nowhere"])
def test_a_console_that_nobody_reads_loses_whole_lines(ends: Ends, path: str) -> None:
    """At /nowhere it can't be opened again, so that the inherited descriptor has to do."""
    console = Console(path.format(ends.theirs), ends.theirs)
    for _ in range(100):
        console.write(LINE * 100)  # more than any of them takes
    assert fcntl.fcntl(ends.theirs, fcntl.F_GETFL) & os.O_NONBLOCK == 0
    assert console.lost > 0
    text = bytearray()

    def read_on() -> bytes:
        console.flush()
        text.extend(ends.read())
        return bytes(text)

    wait_until(lambda: read_on().endswith(b"\n") and not console.is_waiting, "whole lines")
    lost = console.lost
    console.say("again")
    wait_until(lambda: read_on().endswith(b"zinit: again\n"), "a line when there is room")
    lines = bytes(text).split(b"\n")[:-1]
    assert lines[-2:] == [b"zinit: %d console lines were lost" % lost, b"zinit: again"]
    told = [line for line in lines[:-1] if line != LINE[:-1]]  # a terminal takes more meanwhile
    losses = [int(line.split()[1]) for line in told]
    assert told == [b"zinit: %d console lines were lost" % loss for loss in losses]
    assert len(lines) - len(told) - 1 + sum(losses) == 100 * 100
    console.close()


def test_a_console_that_is_a_file_shares_the_offset_of_services() -> None:
    with tempfile.NamedTemporaryFile() as file:
        fd = os.open(file.name, os.O_WRONLY)
        console = Console(f"/proc/self/fd/{fd}", fd)
        console.say("one")
        os.write(fd, b"service\n")  # as a service with `log: stdout` does
        console.say("two")
        console.close()
        os.close(fd)
        assert Path(file.name).read_text() == "zinit: one\nservice\nzinit: two\n"


def test_a_console_that_hung_up_is_opened_again() -> None:
    ends = Ends("pipe")
    console = Console("/dev/null", ends.theirs)
    console.close()
    os.close(ends.ours)
    console.say("lost")
    assert console.lost == 1
    console.say("to /dev/null")
    assert console.lost == 0
    console.close()
    os.close(ends.theirs)
