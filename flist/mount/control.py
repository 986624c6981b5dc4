"""The control socket of a mount: statistics, and another version of the flist under it.

An abstract Unix socket named by the process id that stands as the mount's source. One line of JSON
each way. Only the user who mounted, and root, are answered.
"""

import contextlib
import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.mounts import read_mounts
from flist.errors import FlistError
from flist.mount.fuse.attach import KIND
from flist.mount.overlay import OVERLAY

MAX_LINE = 65536
TIMEOUT_S = 10.0
ANSWER_WITHIN_S = 60.0
CREDENTIALS = struct.Struct("3i")
Handler = Callable[[dict[str, Any]], dict[str, Any]]


def address_of(pid: int) -> str:
    """Return the address of the mount that process `pid` serves."""
    return f"\0zos-flist-{pid}"


def start_control(handler: Handler) -> None:
    """Answer in a thread, for as long as the process lives; if that can't be, say so."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.bind(address_of(os.getpid()))
        listener.listen(8)
    except OSError as error:  # say a container with this machine's network and pids of its own
        listener.close()
        sys.stderr.write(f"rfs mount: no statistics and no remount: {error.strerror}\n")
        return
    threading.Thread(target=answer_all, args=(listener, handler), daemon=True).start()


def answer_all(listener: socket.socket, handler: Handler) -> None:
    """Answer one connection after the other."""
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(TIMEOUT_S)
            answer_one(connection, handler)


def answer_one(connection: socket.socket, handler: Handler) -> None:
    """Answer one request."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _, uid, _ = CREDENTIALS.unpack(raw)
    if uid not in (0, os.geteuid()):
        return
    request = json.loads(read_line(connection))
    try:
        answer = handler(request)
    except FlistError as error:
        answer = {"error": error.message, "hint": error.hint}
    connection.sendall(json.dumps(answer).encode() + b"\n")


def read_line(connection: socket.socket) -> bytes:
    """Return one line, without its end."""
    data = b""
    while not data.endswith(b"\n") and len(data) < MAX_LINE:
        piece = connection.recv(MAX_LINE)
        if not piece:
            break
        data += piece
    return data.rstrip(b"\n")


def find_server(target: Path) -> int | None:
    """Return the process id that serves the flist mounted on `target`, or below an overlay there;
    None if there is none."""
    place = str(target.resolve())
    for entry in reversed(read_mounts()):
        if entry.target == place and entry.kind == KIND and entry.source.isdecimal():
            return int(entry.source)
        if entry.target == place and entry.kind == OVERLAY:
            place = entry.option("lowerdir")  # which was mounted earlier
    return None


def ask_mount(target: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the mount on `target` answers; raises `FlistError`."""
    pid = find_server(target)
    if pid is None:
        raise FlistError(f"no flist is mounted on {target}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.settimeout(ANSWER_WITHIN_S)
            sock.connect(address_of(pid))
            sock.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(read_line(sock) or b"{}")
        except (OSError, ValueError) as error:
            raise FlistError(f"cannot ask the mount on {target}: {error}") from error
    if "error" in answer:
        raise FlistError(str(answer["error"]), hint=answer.get("hint"))
    return answer
