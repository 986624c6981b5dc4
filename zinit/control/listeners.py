"""The listening sockets: the control socket, and the one for HTTP if it is served.

Accepted connections go to `accept`. When no descriptor is free, `make_room` closes an older
connection; if it finds none, the waiting client is turned away, or the loop would spin.
"""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Callable
    from typing import Any, TypeVar

    from zinit.loop import Loop
    from zinit.process.handover import HandOver

    Result = TypeVar("Result")
else:
    import _socket

RANK = 0
BACKLOG = 256
ACCEPTS_PER_TURN = 16
TOKEN_BYTES = 24
PROBE_S = 2.0
STREAM = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK


class Listener:
    """A listening socket and its address (a path for the control socket)."""

    __slots__ = ("address", "file", "sock", "token")

    def __init__(self, sock: "_socket.socket", address: str, token: str = "") -> None:
        self.sock = sock
        self.address = address
        self.file = identify(address)
        self.token = token  # what HTTP clients must present

    def dump(self, hand_over: "HandOver") -> "dict[str, object]":
        """Return the descriptor, address and token."""
        return {
            "fd": hand_over(self.sock.fileno()),
            "address": self.address,
            "token": self.token,
        }


class Listeners:
    """Accepts connections."""

    def __init__(
        self,
        loop: "Loop",
        report: "Callable[[str], None]",
        accept: "Callable[[int, str], None]",
        make_room: "Callable[[str], bool]",
    ) -> None:
        self._loop = loop
        self._report = report
        self._accept = accept  # given a descriptor and the token of its listener
        self._make_room = make_room  # given the token; returns whether a connection was closed
        self._control: Listener | None = None
        self._http: Listener | None = None
        self._spare = open_spare()

    @property
    def is_open(self) -> bool:
        """Whether the control socket is open."""
        return self._control is not None

    def open(self, path: str) -> None:
        """Listen on the control socket `path`.

        Raises OSError; FileExistsError if another daemon answers there.
        """
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self._control = self._watch(Listener(listen_on_path(path), path))

    def look(self) -> None:
        """Close the control socket if its file was removed or replaced."""
        if self._control is not None and identify(self._control.address) != self._control.file:
            self._loop.forget(self._control.sock.fileno())
            self._control.sock.close()
            self._control = None

    def open_http(self, address: str) -> str:
        """Serve HTTP on a loopback `IP:PORT` or `unix:PATH`; return the token.

        Raises OSError; then an HTTP socket with another address stays open.
        """
        if self._http is not None and address == self._http.address:
            self.close_http()
        sock = listen(address)
        self.close_http()
        token = os.urandom(TOKEN_BYTES).hex()
        self._http = self._watch(Listener(sock, address, token))
        return token

    def close_http(self) -> bool:
        """Close the HTTP socket and return whether it was open; established connections go on."""
        if self._http is None:
            return False
        self._close(self._http)
        self._http = None
        return True

    def close(self) -> None:
        """Close and remove all sockets."""
        self.close_http()
        close_spare(self._spare)
        if self._control is not None:
            self._close(self._control)
            self._control = None

    def dump(self, hand_over: "HandOver") -> "dict[str, object]":
        """Return both listeners, or None for one that is not open."""
        return {
            "control": self._control.dump(hand_over) if self._control else None,
            "http": self._http.dump(hand_over) if self._http else None,
        }

    def restore(self, state: "dict[str, Any]") -> None:
        """Listen on the sockets that `dump` returned."""
        from zinit.process.handover import restore_each

        def restore_control(entry: "dict[str, Any]") -> None:
            self._control = self._watch(take_over(entry))

        def restore_http(entry: "dict[str, Any]") -> None:
            self._http = self._watch(take_over(entry))

        for what, restore in (("control", restore_control), ("http", restore_http)):
            entries = [state[what]] if state[what] else []
            restore_each(f"the {what} socket", entries, restore, self._report)

    def _watch(self, listener: Listener) -> Listener:
        fd = listener.sock.fileno()
        self._loop.watch(fd, RANK, lambda _: self._accept_from(listener))
        return listener

    def _close(self, listener: Listener) -> None:
        self._loop.forget(listener.sock.fileno())
        listener.sock.close()
        remove_socket(listener.address.removeprefix("unix:"))

    def _accept_from(self, listener: Listener) -> None:
        for count in range(ACCEPTS_PER_TURN):
            try:
                fd, _address = listener.sock._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError:  # no descriptor is free; only the first time a client surely waits
                if count == 0:
                    self._turn_away(listener)
                return
            os.set_blocking(fd, False)
            self._accept(fd, listener.token)

    def _turn_away(self, listener: Listener) -> None:
        """Make room for the next accept, or accept with the spare descriptor and close."""
        if self._make_room(listener.token):
            return
        self.use_spare(lambda: self._accept_and_close(listener))

    def _accept_and_close(self, listener: Listener) -> None:
        try:
            os.close(listener.sock._accept()[0])  # type: ignore[attr-defined]
        except OSError:
            pass

    def use_spare(self, work: "Callable[[], Result]") -> "Result":
        """Call `work`, which may open one descriptor for itself though no other is free."""
        close_spare(self._spare)
        try:
            return work()
        finally:
            self._spare = open_spare()


def identify(path: str) -> tuple[int, int]:
    """Return the device and the inode of a file; zeros if there is none."""
    try:
        there = os.lstat(path)
    except OSError:
        return 0, 0
    return there.st_dev, there.st_ino


def open_spare() -> int:
    """Return a descriptor that can be closed when no other is free; -1 if none is free now."""
    try:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def close_spare(spare: int) -> None:
    """Close a spare descriptor, if there is one."""
    if spare >= 0:
        os.close(spare)


def take_over(entry: "dict[str, Any]") -> Listener:
    """Return the listener that `Listener.dump` described."""
    os.set_inheritable(entry["fd"], False)
    return Listener(_socket.socket(fileno=entry["fd"]), entry["address"], entry["token"])


def listen(address: str) -> "_socket.socket":
    """Return a listening socket on a loopback `IP:PORT` or on `unix:PATH`; raises OSError."""
    path = address.removeprefix("unix:")
    try:
        return listen_on_path(path) if path != address else listen_on_loopback(address)
    except (OSError, OverflowError) as error:
        text = getattr(error, "strerror", None) or str(error)  # a path may be too long, say
        raise OSError(22, text, address) from None


def listen_on_path(path: str) -> "_socket.socket":
    """Return a socket that listens on `path`, where a stale one is replaced; raises OSError."""
    remove_stale(path)
    sock = _socket.socket(_socket.AF_UNIX, STREAM)
    try:
        sock.bind(path)
        os.chmod(path, 0o600)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def listen_on_loopback(address: str) -> "_socket.socket":
    """Return a socket that listens on `IP:PORT`; raises OSError or OverflowError."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not is_loopback(host) or not port.isdecimal():
        raise OSError(22, "only a loopback IP:PORT, or unix:PATH, is served", address)
    sock = _socket.socket(_socket.AF_INET6 if ":" in host else _socket.AF_INET, STREAM)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
        sock.listen(BACKLOG)
    except (OSError, OverflowError):
        sock.close()
        raise
    return sock


def is_loopback(host: str) -> bool:
    """Return whether `host` is a loopback address; names are refused, they can be anything."""
    if host == "::1":
        return True
    try:
        return _socket.inet_pton(_socket.AF_INET, host)[0] == 127
    except OSError:
        return False


def remove_socket(path: str) -> None:
    """Remove `path` if it is a socket."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except OSError:
        pass


def remove_stale(path: str) -> None:
    """Remove a socket on which nothing listens, or an empty file, as upstream does.

    Raises FileExistsError if a program listens on it, and OSError for any other kind of file.
    """
    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        probe.settimeout(PROBE_S)
        probe.connect(path)
    except FileNotFoundError:
        return
    except (BlockingIOError, TimeoutError):
        pass  # a program listens, and is busy
    except ConnectionRefusedError:
        there = os.lstat(path)
        is_empty_file = stat.S_ISREG(there.st_mode) and not there.st_size
        if not stat.S_ISSOCK(there.st_mode) and not is_empty_file:
            raise OSError(88, "Not a socket", path) from None
        os.unlink(path)
        return
    finally:
        probe.close()
    raise FileExistsError(98, "another zinit answers there", path)
