"""The console: zinit's own lines and those of services with `log: console`.

A console that is blocked (Ctrl-S, a full pipe) or hung up loses lines; it never blocks zinit.
"""

import os
import select
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
else:
    import _socket

EOPNOTSUPP = 95
ROOM = 512  # what a pipe or terminal that is ready takes at least
FLAGS = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_APPEND


class Console:
    """A console, opened separately so that O_NONBLOCK affects no other process.

    A line is written whole or not at all: the rest of one that was begun is written first.
    """

    def __init__(self, path: str, fallback: int = 2) -> None:
        self.path = path
        self.lost = 0
        self._fallback = fallback
        self._rest = b""  # of a line that was begun
        self._fd = self._open()

    def write(self, data: bytes) -> None:
        """Write as many lines as possible without blocking."""
        try:
            if self.flush() and self._tell_lost():
                self._put(data)
            else:
                self.lost += data.count(b"\n")
        except OSError:
            self._reopen()  # hung up: the next write may succeed
            self.lost += data.count(b"\n")

    def flush(self) -> bool:
        """Write the rest of a line that was begun; return whether nothing is left of it."""
        if self._rest:
            try:
                self._rest = self._rest[self._send(self._rest) :]
            except OSError:
                self._reopen()
        return not self._rest

    @property
    def is_waiting(self) -> bool:
        """Whether `flush` has to be called later."""
        return bool(self._rest)

    def say(self, text: str) -> None:
        """Write a line of zinit itself."""
        self.write(f"zinit: {text}\n".encode(errors="replace"))

    def close(self) -> None:
        """Close the console; later lines go to the fallback."""
        if self._fd != self._fallback:
            os.close(self._fd)
            self._fd = self._fallback

    def _tell_lost(self) -> bool:
        """Say how many lines were lost; return whether there is room for more."""
        lost, self.lost = self.lost, 0
        if lost:
            self._put(b"zinit: %d console lines were lost\n" % lost)
            if self.lost:  # not even that was written
                self.lost = lost
                return False
        return not self._rest

    def _put(self, data: bytes) -> None:
        """Write lines; keep the rest of the one that is cut, and count those after it as lost."""
        sent = self._send(data)
        if sent == len(data):
            return
        if sent and data[sent - 1 : sent] != b"\n":
            end = data.find(b"\n", sent) + 1 or len(data)
            self._rest = data[sent:end]
            sent = end
        self.lost += data.count(b"\n", sent)

    def _send(self, data: bytes) -> int:
        """Write as much as possible without blocking; return how much. Raises OSError."""
        sent = 0
        try:
            while sent < len(data):
                part = data[sent:]
                if self._fd == self._fallback:
                    done = write_inherited(self._fd, part)
                else:
                    done = os.write(self._fd, part)
                if not done:
                    break
                sent += done
        except BlockingIOError:
            pass
        return sent

    def _open(self) -> int:
        try:
            if stat.S_ISREG(os.stat(self.path).st_mode):
                return self._fallback  # services write at its offset, which is not to be shared
            return os.open(self.path, FLAGS)
        except OSError:
            return self._fallback  # a socket, or no console at all

    def _reopen(self) -> None:
        self._rest = b""
        self.close()
        self._fd = self._open()


def write_inherited(fd: int, data: bytes) -> int:
    """Write to a descriptor that others share, so that it must not be made non-blocking.

    Returns how much was written, 0 if it would block; raises OSError.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        return send_at_once(fd, data)
    if stat.S_ISREG(mode):
        return os.write(fd, data)
    if stat.S_ISFIFO(mode):
        try:
            return os.pwritev(fd, [data], -1, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno != EOPNOTSUPP:  # as before Linux 6.4
                raise
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    events = poller.poll(0)
    if not events:
        return 0
    return os.write(fd, data[:ROOM])


def send_at_once(fd: int, data: bytes) -> int:
    """Send to a socket without waiting; return how much was sent."""
    sock = _socket.socket(fileno=os.dup(fd))
    try:
        return sock.send(data, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
    finally:
        sock.close()


def open_standard(*paths: str) -> None:
    """Open the first usable of `paths` as every descriptor from 0 to 2 that is closed."""
    for path in paths:
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        except OSError:
            continue
        while fd <= 2:
            os.set_inheritable(fd, True)
            fd = os.dup(fd)
        os.close(fd)
        return
