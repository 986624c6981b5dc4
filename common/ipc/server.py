"""Answers calls: one thread for each connection, as many as are allowed at a time."""

import contextlib
import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ZosError
from common.ipc.errors import IpcError
from common.ipc.lines import Lines

REQUEST_TIMEOUT_S = 10.0
CONNECTIONS_MAX = 32
BACKLOG = 64
BREATH_S = 0.5  # after the system had nothing for a connection
LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid


@dataclass(frozen=True)
class Peer:
    """Who calls, as the kernel says."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Method:
    """A method: its function gets the `Peer` and the parameters by name.

    What it returns is the result; what an iterator yields is a stream. `callers` are the user ids
    that may call it beside root and the server's own; None means everybody.
    """

    function: Callable[..., Any]
    callers: frozenset[int] | None = None

    def is_open_to(self, uid: int) -> bool:
        """Return whether the user may call it."""
        return self.callers is None or uid in self.callers or uid in (0, os.geteuid())


class Server:
    """Serves `methods` on the socket `path`. Use it as a context manager, or call `serve`.

    `connections_max` must leave threads for all else that the process does.
    """

    def __init__(
        self,
        path: Path,
        methods: Mapping[str, Method],
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self.path = path
        self.methods = methods
        self._places = threading.BoundedSemaphore(connections_max)
        self._is_closed = threading.Event()
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Listen; a socket that an earlier process left is replaced."""
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(draft))
            draft.chmod(0o666)  # the kernel names the caller, so everybody may connect
            listener.listen(BACKLOG)
            draft.replace(self.path)
        except BaseException:
            listener.close()
            raise
        self._listener = listener

    def serve(self) -> None:
        """Answer until `close` is called."""
        listener = self._listener
        assert listener is not None, "open first"
        while not self._is_closed.is_set():
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if error.errno in LACKS:
                    self._is_closed.wait(BREATH_S)
                elif error.errno != errno.ECONNABORTED:
                    return
            else:
                self._begin(connection)

    def close(self) -> None:
        """Take no further call."""
        self._is_closed.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def __enter__(self) -> "Server":
        self.open()
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, connection: socket.socket) -> None:
        """Answer in a thread of its own, or end the connection if there is no place for it."""
        if not self._places.acquire(blocking=False):
            connection.close()
            return
        try:
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
        except RuntimeError:  # the system has no thread for it
            connection.close()
            self._places.release()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                lines = Lines(connection, REQUEST_TIMEOUT_S)
                try:
                    self._carry_out(lines, peer_of(connection))
                except ZosError as error:
                    code = error.code if isinstance(error, IpcError) else ""
                    fault = {"message": str(error), "hint": error.hint, "code": code}
                    lines.write({"error": fault})
        finally:
            self._places.release()

    def _carry_out(self, lines: Lines, peer: Peer) -> None:
        request = lines.read()
        if request is None:
            return
        name, params = request.get("method"), request.get("params", {})
        method = self.methods.get(name) if isinstance(name, str) else None
        if method is None or not isinstance(params, dict):
            raise IpcError(f"there is no method {str(name)[:40]!r}", code="unknown")
        if not method.is_open_to(peer.uid):
            raise IpcError(f"user {peer.uid} may not call {name}", code="refused")
        try:
            result = method.function(peer, **params)
        except TypeError as error:
            raise IpcError(f"cannot call {name}: {error}", code="params") from error
        if isinstance(result, Iterator):
            for item in result:
                lines.write({"item": item})
            lines.write({"end": True})
        else:
            lines.write({"result": result})


def peer_of(connection: socket.socket) -> Peer:
    """Return who is on the other side."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return Peer(*_PEER.unpack(data))
