"""Where clients come in: TCP, TLS and a Unix socket."""

import contextlib
import os
import socket
import ssl
from pathlib import Path

from common.errors import ZosError
from serving.listen import BACKLOG, open_listener, parse_address
from serving.tls import load_files

KEEPALIVE_S = 60  # without a word from a client, its machine is asked whether it is there


class Door:
    """A listening socket."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        listener.setblocking(False)
        self.listener = listener
        self.tls = tls

    def accept(self) -> socket.socket | None:
        """Return a new connection; None if it has gone already."""
        sock, _ = self.listener.accept()
        try:
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
            if self.tls is not None:
                return self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            sock.close()
            return None
        return sock

    def close(self) -> None:
        """Accept no more; a Unix socket's file is removed."""
        name = self.listener.getsockname() if self.listener.family == socket.AF_UNIX else None
        self.listener.close()
        if name:
            with contextlib.suppress(OSError):
                Path(name).unlink()


def open_tcp(address: str, cert: Path | None, key: Path | None) -> Door:
    """Listen on HOST:PORT, with TLS if there are files for it."""
    context = make_context(cert, key) if cert and key else None
    return Door(open_listener(*parse_address(address)), context)


def make_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return the context for TLS from files in PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_files(context, cert, key)
    return context


def open_unix(path: Path) -> Door:
    """Listen on a Unix socket that only this user may use; replace one that nobody listens on."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if path.is_socket() and not is_alive(path):
            path.unlink()
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ZosError(
            f"cannot listen on {path}: {error.strerror or error}", hint="choose another path"
        ) from error
    return Door(listener)


def is_alive(path: Path) -> bool:
    """Return whether a server listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) == 0
