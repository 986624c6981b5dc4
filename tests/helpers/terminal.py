"""Commands with a terminal as stderr."""

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

DEADLINE_S = 120.0
ROWS, COLUMNS = 24, 100
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class OnTerminal(NamedTuple):
    """A running command, and our end of its terminal."""

    process: subprocess.Popen[str]
    handle: int

    def read(self, until: str | None = None) -> str:
        """Return the output up to the first `until`, or up to the end of the command."""
        shown = b""
        deadline = time.monotonic() + DEADLINE_S
        while until is None or until.encode() not in shown:
            left_s = deadline - time.monotonic()
            if not select.select([self.handle], [], [], max(left_s, 0))[0]:
                pytest.fail(f"no end, and no {until!r}, within {DEADLINE_S:g} s of {shown!r}")
            try:
                data = os.read(self.handle, 65536)
            except OSError:  # EIO: the other end is closed
                break
            if not data:
                break
            shown += data
        return shown.decode(errors="replace")


@contextlib.contextmanager
def on_terminal(*words: str | Path) -> Iterator[OnTerminal]:
    """Run `rfs WORDS` during the block, with stderr on a terminal and stdout on a pipe."""
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
        call = [sys.executable, "-m", "zero_os", "flist", *map(str, words)]
        process = subprocess.Popen(
            call, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, text=True,
            env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        os.close(theirs)
        with process:
            try:
                yield OnTerminal(process, ours)
            finally:
                process.kill()
    finally:
        os.close(ours)


def frames(shown: str) -> list[str]:
    """Return the output as lines, without control sequences."""
    lines = (CONTROL.sub("", line).strip() for line in re.split(r"[\r\n]", shown))
    return [line for line in lines if line]
