"""The control socket of a mount: statistics, and the change to another version of the flist.

It is an abstract Unix socket. Its name has the process id that the kernel's list of mounts shows as
the mount's source. Request and reply are one line of JSON each. Only root and the user who mounted
get replies.
"""

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import ZosError, tell_traceback
from common.mounts import read_mounts
from flist.errors import FlistError
from flist.mount.attach import KIND
from flist.mount.overlay import OVERLAY

if TYPE_CHECKING:
    from flist.mount.reader import Reader
    from flist.store.fetch import Statistics

MAX_LINE = 65536
TIMEOUT_S = 10.0
ANSWER_WITHIN_S = 60.0
PAUSE_S = 0.1
CREDENTIALS = struct.Struct("3i")
Handler = Callable[[dict[str, Any]], dict[str, Any]]


def address_of(pid: int) -> str:
    """Return the address of the control socket of process `pid`."""
    return f"\0zos-flist-{pid}"


def start_control(handler: Handler) -> None:
    """Answer requests in a thread until the process ends. Without a socket, warn on stderr only."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.bind(address_of(os.getpid()))
        listener.listen(8)
    except OSError as error:  # such as a container with the host's network and its own pids
        listener.close()
        sys.stderr.write(f"rfs mount: no statistics and no remount: {error.strerror}\n")
        return
    threading.Thread(target=answer_all, args=(listener, handler), daemon=True).start()


def make_handler(
    statistics: "Callable[[], tuple[Sequence[Statistics], int]]", change: Callable[[Path], None]
) -> Handler:
    """Return the handler of a mount's requests. `statistics` returns those of all versions (first
    the sum of those that are closed, then those of each open one) and how many there were; `change`
    shows another flist."""

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        command = request.get("command")
        if command == "stats":
            parts, versions = statistics()
            return {**add_up(parts, versions), "open_versions": len(parts) - 1}
        if command == "remount":
            change(Path(str(request.get("meta"))))
            return {"versions": statistics()[1]}
        raise FlistError(f"unknown command {command!r}")

    return handle


def sum_statistics(readers: "Sequence[Reader]") -> dict[str, Any]:
    """Return what some versions have done together."""
    return add_up([reader.fetcher.statistics for reader in readers], len(readers))


def add_up(statistics: "Sequence[Statistics]", versions: int) -> dict[str, Any]:
    """Return what a mount has done: the sum of the statistics of its versions."""
    parts = [vars(one) for one in statistics]
    total = {name: sum(part[name] for part in parts) for name in parts[0]}
    total["slowest_s"] = round(max(part["slowest_s"] for part in parts), 6)
    total["fetch_s"] = round(total["fetch_s"], 6)
    total["mean_s"] = round(total["fetch_s"] / max(total["fetched"], 1), 6)
    return {**total, "versions": versions}


def answer_all(listener: socket.socket, handler: Handler) -> None:
    """Answer one connection after another. Nothing that one does ends this."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # such as too many open files
            if listener.fileno() < 0:
                return
            time.sleep(PAUSE_S)
            continue
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(TIMEOUT_S)
            answer_one(connection, handler)


def answer_one(connection: socket.socket, handler: Handler) -> None:
    """Answer one request, unless another user sent it."""
    import json

    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _, uid, _ = CREDENTIALS.unpack(raw)
    if uid not in (0, os.geteuid()):
        return
    request = json.loads(read_line(connection))
    try:
        answer = handler(request)
    except ZosError as error:
        answer = {"error": error.message, "hint": error.hint}
    except Exception as error:  # a bug; the next request must get an answer all the same
        tell_traceback()
        answer = {"error": f"internal error: {error}", "hint": "the mount's log says more"}
    connection.sendall(json.dumps(answer).encode() + b"\n")


def read_line(connection: socket.socket) -> bytes:
    """Return one line without its line feed."""
    data = b""
    while not data.endswith(b"\n") and len(data) < MAX_LINE:
        piece = connection.recv(MAX_LINE)
        if not piece:
            break
        data += piece
    return data.rstrip(b"\n")


def find_server(target: Path) -> int | None:
    """Return the id of the process that serves the flist on `target`, or the flist below an
    overlay there; None if no flist is mounted."""
    place = str(target.resolve())
    for entry in reversed(read_mounts()):
        if entry.target == place and entry.kind == KIND and entry.source.isdecimal():
            return int(entry.source)
        if entry.target == place and entry.kind == OVERLAY:
            place = entry.option("lowerdir")  # mounted earlier, so it comes later here
    return None


def ask_mount(target: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the reply of the mount on `target`; raises `FlistError`."""
    import json

    pid = find_server(target)
    if pid is None:
        raise FlistError(f"no flist is mounted on {target}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.settimeout(ANSWER_WITHIN_S)
            sock.connect(address_of(pid))
            sock.sendall(json.dumps(request).encode() + b"\n")
            line = read_line(sock)
            answer = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            raise FlistError(f"cannot ask the mount on {target}: {error}") from error
    if not isinstance(answer, dict):  # of another user, or of a process that has just ended
        raise FlistError(f"cannot ask the mount on {target}: no answer")
    if "error" in answer:
        raise FlistError(str(answer["error"]), hint=answer.get("hint"))
    return answer
