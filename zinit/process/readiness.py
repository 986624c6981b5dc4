"""How a service tells that it is ready: sd_notify datagrams, or a newline on a descriptor.

A channel belongs to one process and closes when that is reaped.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Callable

    from zinit.loop import Loop

    Told = Callable[[str, int, list[bytes]], None]
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
        self.fd = fd

    def dump(self) -> list[object]:
        """Return what another program needs to go on with it."""
        return ["fd", self.fd]

    def open(self, loop: "Loop", name: str, pid: int, told: "Told") -> None:
        """Tell `told` when a newline comes."""
        os.set_blocking(self.fd, False)

        def handle(_: int) -> None:
            try:
                data = os.read(self.fd, SIZE_LIMIT)
            except BlockingIOError:
                return  # meant for what had this number before
            if b"\n" in data:
                told(name, pid, [READY])
            elif data:
                return
            self.close(loop)

        loop.watch(self.fd, RANK, handle)

    def close(self, loop: "Loop") -> None:
        """Watch it no more."""
        if self.fd >= 0:
            loop.forget(self.fd)
            os.close(self.fd)
            self.fd = -1


class NotifySocket:
    """A datagram socket for NOTIFY_SOCKET, in the abstract namespace so that a chroot sees it.

    Such names belong to a network namespace: the socket is opened in the service's own. The name
    can't be guessed, and what comes from neither root nor the service's user is ignored: any local
    process may list such sockets.
    """

    def __init__(self, uid: int, namespace: str = "", door: "_socket.socket | None" = None) -> None:
        self._uids = (0, uid, os.getuid())
        self.address = ""
        if door is not None:
            self._door = door
            return
        self._door = open_door_in(namespace) if namespace else open_door()
        name = "zinit-notify-" + os.urandom(ENTROPY).hex()
        self.address = "@" + name
        try:
            self._door.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
            self._door.bind("\0" + name)
        except OSError:
            self._door.close()
            raise

    @classmethod
    def adopt(cls, fd: int, uid: int) -> "NotifySocket":
        """Go on with a socket that is there already."""
        return cls(uid, door=_socket.socket(fileno=fd))

    def dump(self) -> list[object]:
        """Return what another program needs to go on with it."""
        return ["notify", self.fd, self._uids[1]]

    @property
    def fd(self) -> int:
        """Its descriptor."""
        return self._door.fileno()

    def open(self, loop: "Loop", name: str, pid: int, told: "Told") -> None:
        """Tell `told` the lines of every datagram."""

        def handle(_: int) -> None:
            space = _socket.CMSG_SPACE(CREDENTIALS_SIZE)
            try:
                data, extras, _flags, _address = self._door.recvmsg(SIZE_LIMIT, space)
            except BlockingIOError:
                return
            uids = [int.from_bytes(extra[2][4:8], "little") for extra in extras]
            if uids and uids[0] in self._uids:
                told(name, pid, data.split(b"\n"))

        loop.watch(self.fd, RANK, handle)

    def close(self, loop: "Loop") -> None:
        """Watch it no more."""
        if self.fd >= 0:
            loop.forget(self.fd)
            self._door.close()


def open_door() -> "_socket.socket":
    """Return a datagram socket."""
    kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    return _socket.socket(_socket.AF_UNIX, kind)


def open_door_in(namespace: str) -> "_socket.socket":
    """Return a datagram socket of a network namespace; raises OSError."""
    from zinit.process import kernel

    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    home = os.open("/proc/self/ns/net", flags)
    try:
        there = os.open(namespace, flags)
        try:
            kernel.set_namespace(there)
            try:
                return open_door()
            finally:
                kernel.set_namespace(home)
        finally:
            os.close(there)
    finally:
        os.close(home)
