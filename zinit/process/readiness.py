"""How a service reports that it is ready: sd_notify datagrams, or a newline on a descriptor.

A channel belongs to one process and is closed when that process is reaped.
"""

import os

from zinit.process.senders import is_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from zinit.loop import Loop
    from zinit.process.handover import HandOver

    OnNotify = Callable[[str, int, list[bytes]], None]
    Channel: TypeAlias = "ReadyPipe | NotifySocket"
else:
    import _socket

SIZE_LIMIT = 4096
RANK = 2
READY = b"READY=1"
ENTROPY = 12
CREDENTIALS_SIZE = 12  # struct ucred: pid, uid, gid


class ReadyPipe:
    """Our end of the pipe whose other end is the service's descriptor N."""

    def __init__(self, fd: int) -> None:
        self.fd = fd  # -1 once it is closed

    def dump(self, hand_over: "HandOver") -> "dict[str, object]":
        """Return what `restore_channel` needs."""
        return {"kind": "fd", "fd": hand_over(self.fd)}

    def open(self, loop: "Loop", name: str, pid: int, on_notify: "OnNotify") -> None:
        """Call `on_notify` with `READY=1` when a newline arrives."""
        os.set_blocking(self.fd, False)

        def handle(_: int) -> None:
            try:
                data = os.read(self.fd, SIZE_LIMIT)
            except BlockingIOError:
                return  # the event was for a closed descriptor of the same number
            if b"\n" in data:
                on_notify(name, pid, [READY])
            elif data:
                return
            self.close(loop)

        loop.watch(self.fd, RANK, handle)

    def close(self, loop: "Loop") -> None:
        """Stop watching the channel and close it."""
        if self.fd >= 0:
            loop.forget(self.fd)
            os.close(self.fd)
            self.fd = -1


class NotifySocket:
    """A datagram socket for NOTIFY_SOCKET, in the abstract namespace so that a chroot sees it.

    Abstract names belong to a network namespace, so the socket is opened in the service's own.
    Any local process can list such sockets: the name is random, and datagrams are ignored unless
    `zinit.process.senders` finds that the service sent them.
    """

    def __init__(self, uid: int, namespace: str = "", fd: int = -1) -> None:
        """Open a socket for a service that runs as `uid`, or take over `fd`; raises OSError."""
        self._uids = (0, os.getuid(), uid)
        self.address = ""
        if fd >= 0:
            self._socket = _socket.socket(fileno=fd)
            return
        self._socket = open_socket_in(namespace) if namespace else open_socket()
        name = "zinit-notify-" + os.urandom(ENTROPY).hex()
        self.address = "@" + name
        try:
            self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
            self._socket.bind("\0" + name)
        except OSError:
            self._socket.close()
            raise

    def dump(self, hand_over: "HandOver") -> "dict[str, object]":
        """Return what `restore_channel` needs."""
        return {"kind": "notify", "fd": hand_over(self.fd), "uid": self._uids[2]}

    @property
    def fd(self) -> int:
        """The socket's descriptor, -1 once it is closed."""
        return self._socket.fileno()

    def open(self, loop: "Loop", name: str, pid: int, on_notify: "OnNotify") -> None:
        """Call `on_notify` with the lines of every datagram."""

        def handle(_: int) -> None:
            space = _socket.CMSG_SPACE(CREDENTIALS_SIZE)
            try:
                data, extras, _flags, _address = self._socket.recvmsg(SIZE_LIMIT, space)
            except BlockingIOError:
                return
            if any(is_from(pid, extra[2], self._uids) for extra in extras):
                on_notify(name, pid, data.split(b"\n"))

        loop.watch(self.fd, RANK, handle)

    def close(self, loop: "Loop") -> None:
        """Stop watching the channel and close it."""
        if self.fd >= 0:
            loop.forget(self.fd)
            self._socket.close()


def restore_channel(entry: "dict[str, Any]") -> "Channel":
    """Return the channel that `dump` described."""
    fd = entry["fd"]
    os.set_inheritable(fd, False)
    return ReadyPipe(fd) if entry["kind"] == "fd" else NotifySocket(entry["uid"], fd=fd)


def open_socket() -> "_socket.socket":
    """Return a datagram socket."""
    kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    return _socket.socket(_socket.AF_UNIX, kind)


def open_socket_in(namespace: str) -> "_socket.socket":
    """Return a datagram socket in another network namespace; raises OSError."""
    from zinit.process import kernel

    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    home = os.open("/proc/self/ns/net", flags)
    try:
        there = os.open(namespace, flags)
        try:
            kernel.set_namespace(there)
            try:
                return open_socket()
            finally:
                kernel.set_namespace(home)
        finally:
            os.close(there)
    finally:
        os.close(home)
