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
    for line in lines_of(process, time.monotonic() + within_s, is_cancelled):
        said = parse_line(line)
        if "result" in said:
            return dict(said["result"])
        if "error" in said:
            raise WorkError(str(said["error"])[:500], hint=str(said.get("hint", ""))[:500] or None)
        progress(float(said.get("progress", 0.0)), str(said.get("message", ""))[:500])
    text, trace = explain_end(process)
    error = WorkError(text)
    error.add_note(trace)  # for the server's log
    raise error


def parse_line(line: bytes) -> Spec:
    """Return what a line says; the worker may have been taken over by what it reads."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("result", {}), dict):
        raise WorkError("the worker failed: it said something that is no answer")
    return value


def lines_of(
    process: "subprocess.Popen[bytes]", deadline: float, is_cancelled: Callable[[], bool]
) -> Iterator[bytes]:
    """Yield the lines of a worker's stdout. Raises `WorkError` at the deadline."""
    assert process.stdout is not None and process.stderr is not None
    pending = b""
    said = bytearray()
    process.said = said  # type: ignore[attr-defined]
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
                    said += data
                    del said[:-SAID_MAX_BYTES]
                else:
                    *lines, pending = (pending + data).split(b"\n")
                    yield from lines
                    if len(pending) > LINE_MAX_BYTES:
                        raise WorkError("the worker failed: it says too much")


def explain_end(process: "subprocess.Popen[bytes]") -> tuple[str, str]:
    """Return why a worker ended without a result, and the end of what it wrote to stderr."""
    said = bytes(getattr(process, "said", b"")).decode(errors="replace")
    try:
        status = process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        return "the worker failed: it says nothing more", said
    if "MemoryError" in said or status == -signal.SIGSEGV:
        return "it needs more memory than a job may have", said
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "it needs more time, or more memory, than a job may have", said
    if status == -signal.SIGXFSZ:
        return "it makes a larger file than a job may have", said
    return f"the worker failed with status {status}", said
