"""A lock between processes, with a deadline and a message that names the holder.

The lock is flock(2), so it ends with its holder, however that ends. The file stays; its content,
"PROCESS-ID COMMAND", is for people.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from common.errors import ZosError

POLL_S = 0.1
COMMAND_MAX_CHARS = 200


def say(text: str) -> None:
    """Write one line to stderr."""
    print(f"zos: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def hold_lock(
    path: Path, work: str, timeout_s: float, tell: Callable[[str], None] = say
) -> Iterator[None]:
    """Hold the lock `path` while the block runs; `work` describes the block in a few words.

    If it has to wait, it calls `tell` once. Raises `ZosError` naming the holder after `timeout_s`.
    """
    with open(path, "a+", encoding="utf-8", errors="replace") as stream:
        wait_for_lock(stream, work, timeout_s, tell)
        stream.truncate(0)
        stream.write(f"{os.getpid()} {describe_command(sys.argv)}")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def wait_for_lock(stream: TextIO, work: str, timeout_s: float, tell: Callable[[str], None]) -> None:
    """Lock an open file within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    is_told = False
    while True:
        try:
            return fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = read_holder(stream)
        if time.monotonic() > deadline:
            raise ZosError(
                f"cannot go on with {work}: {holder} has not finished it in {timeout_s:g} s",
                hint=f"wait for it or end it; the lock is {stream.name}",
            )
        if not is_told:
            tell(f"waiting for {holder}, which is busy with {work}")
            is_told = True
        time.sleep(POLL_S)


def describe_command(argv: Sequence[str]) -> str:
    """Return the command line as one short printable line."""
    name = Path(argv[0]).name
    words = " ".join(["zos" if name == "__main__.py" else name, *argv[1:]])
    return "".join(c if c.isprintable() else "?" for c in words)[:COMMAND_MAX_CHARS]


def read_holder(stream: TextIO) -> str:
    """Return the holder's process and command, as the holder wrote them."""
    stream.seek(0)
    number, _, command = stream.read(2 * COMMAND_MAX_CHARS).partition(" ")
    return f"process {number} ({command})" if number.isdigit() else "another process"
