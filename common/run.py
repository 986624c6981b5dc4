"""Runs subprocesses to their end, each with a deadline."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from common.errors import ZosError

SAID_LINES = 200
LAST_LINES_S = 2.0


class CommandError(ZosError):
    """A program failed, could not be started, or ran past its deadline."""


def run(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    on_line: Callable[[str], None] | None = None,
    good: Sequence[int] = (0,),
) -> bytes:
    """Run `argv` and return its stdout; `env` extends this process's environment, and `good` are
    the exit statuses of a success.

    `on_line` is called with each line of stderr when it comes, from another thread.
    Raises `CommandError` with the end of stderr and, as a hint, the command line to paste.
    """
    words = [str(word) for word in argv]
    pasteable = shlex.join(words)
    try:
        process = subprocess.Popen(
            words,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # its own process group, to end all of it
        )
    except OSError as error:
        raise explain_start(error, words[0], pasteable) from error
    try:
        with contextlib.ExitStack() as stack:
            said = stack.enter_context(following(process, on_line)) if on_line else []
            stdout, rest = finish(process, stdin, timeout_s)
        stderr = b"".join(said) or rest
    except subprocess.TimeoutExpired as error:
        reason = f"{words[0]} did not end within {timeout_s:g} s"
        raise CommandError(reason, hint=pasteable) from error
    if process.returncode not in good:
        reason = f"{words[0]} failed with status {process.returncode}"
        raise CommandError(f"{reason}: {last_lines(stderr) or last_lines(stdout)}", hint=pasteable)
    return stdout


def last_lines(output: bytes) -> str:
    """Return the last lines of a program's output, for a message."""
    return "\n".join(output.decode(errors="replace").strip().splitlines()[-8:])


def finish(
    process: subprocess.Popen[bytes], stdin: bytes | None, timeout_s: float
) -> tuple[bytes, bytes]:
    """Return stdout and stderr of a process that ends within `timeout_s`.

    The deadline, Ctrl-C and any other exception kill the process and its whole group.
    """
    with process:
        try:
            return process.communicate(stdin, timeout_s)
        except BaseException:
            # It has not been reaped, so no other process has this ID.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


@contextlib.contextmanager
def following(
    process: subprocess.Popen[bytes], on_line: Callable[[str], None]
) -> Iterator[deque[bytes]]:
    """Call `on_line` with the lines of stderr until it ends; yield the last lines for a message."""
    stream, process.stderr = process.stderr, None
    assert stream is not None
    said: deque[bytes] = deque(maxlen=SAID_LINES)

    def follow() -> None:
        for line in stream:
            said.append(line)
            on_line(line.decode(errors="replace").rstrip())

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield said
    finally:
        thread.join(LAST_LINES_S)  # a grandchild may keep the stream open
        if not thread.is_alive():
            stream.close()


def explain_start(error: OSError, program: str, pasteable: str) -> CommandError:
    """Return the error for a program that could not be started."""
    if isinstance(error, FileNotFoundError) and error.filename == program:
        return CommandError(
            f"cannot run {program}: not found",
            hint=f"install the package that has it (./zos does that), then: {pasteable}",
        )
    place = "" if error.filename in (None, program) else f": {error.filename}"
    return CommandError(f"cannot run {program}: {error.strerror}{place}", hint=pasteable)
