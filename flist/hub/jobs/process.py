"""Runs a worker: starts it, follows what it says, ends it when it is late, cancelled or too big."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flist.errors import FlistError
from flist.hub.jobs.confine import NOBODY

MODULE = "flist.hub.jobs.worker"
HERE = "/proc/self/cwd"
LINE_MAX_BYTES = 1 << 16
SAID_MAX_BYTES = 4096
POLL_S = 0.5
END_WITHIN_S = 5.0
FOLDER_MODE = 0o700
KEPT_VARIABLES = ("LANG", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "ZOS_PROXY")
Spec = dict[str, Any]


class WorkError(FlistError):
    """The work could not be done; the message is for the user who asked for it."""

    http_status = 422


class CancelledError(WorkError):
    """Somebody has cancelled the job, or the server stops."""


def run_worker(
    spec: Spec,
    folder: Path,
    *,
    within_s: float,
    progress: Callable[[float, str], None],
    is_cancelled: Callable[[], bool],
) -> Spec:
    """Return the result of a worker's work in `folder`. Raises `WorkError`."""
    folder.chmod(FOLDER_MODE)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    env = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    env["TMPDIR"] = env["HOME"] = HERE
    with subprocess.Popen(
        [sys.executable, "-I", "-m", MODULE],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            return follow(process, spec, within_s, progress, is_cancelled)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def follow(
    process: "subprocess.Popen[bytes]",
    spec: Spec,
    within_s: float,
    progress: Callable[[float, str], None],
    is_cancelled: Callable[[], bool],
) -> Spec:
    """Hand the work over, and read what the worker says until it ends."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # its end says more
        process.stdin.write(json.dumps(spec).encode() + b"\n")
        process.stdin.close()
    complaints = bytearray()
    for line in lines_of(process, complaints, time.monotonic() + within_s, is_cancelled):
        said = parse_line(line)
        if "result" in said:
            return dict(said["result"])
        if "error" in said:
            raise WorkError(str(said["error"])[:500], hint=str(said.get("hint", ""))[:500] or None)
        progress(said.get("progress", 0.0), str(said.get("message", ""))[:500])
    trace = complaints.decode(errors="replace")
    error = WorkError(explain_end(process, trace))
    error.add_note(trace)  # for the server's log
    raise error


def parse_line(line: bytes) -> Spec:
    """Return what a line says; the worker may have been taken over by what it reads."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    is_answer = (
        isinstance(value, dict)
        and isinstance(value.get("result", {}), dict)
        and isinstance(value.get("progress", 0.0), (int, float))
    )
    if not is_answer:
        raise WorkError("the worker failed: it said something that is no answer")
    return dict(value)


def lines_of(
    process: "subprocess.Popen[bytes]",
    complaints: bytearray,
    deadline: float,
    is_cancelled: Callable[[], bool],
) -> Iterator[bytes]:
    """Yield the lines of a worker's stdout; the end of its stderr goes to `complaints`.

    Raises `WorkError` at the deadline.
    """
    assert process.stdout is not None and process.stderr is not None
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while selector.get_map():
            if is_cancelled():
                raise CancelledError("the job was cancelled")
            if time.monotonic() > deadline:
                raise WorkError("the work took longer than a job may take")
            for key, _ in selector.select(POLL_S):
                data = os.read(key.fd, LINE_MAX_BYTES)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    complaints += data
                    del complaints[:-SAID_MAX_BYTES]
                else:
                    *lines, pending = (pending + data).split(b"\n")
                    yield from lines
                    if len(pending) > LINE_MAX_BYTES:
                        raise WorkError("the worker failed: it says too much")


def explain_end(process: "subprocess.Popen[bytes]", trace: str) -> str:
    """Return why a worker ended without a result; `trace` is what it wrote to stderr."""
    try:
        status = process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        return "the worker failed: it says nothing more"
    if "MemoryError" in trace or status == -signal.SIGSEGV:
        return "it needs more memory than a job may have"
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "it needs more time, or more memory, than a job may have"
    if status == -signal.SIGXFSZ:
        return "it makes a larger file than a job may have"
    return f"the worker failed with status {status}"
