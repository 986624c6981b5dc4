"""The control socket: accepts clients, moves their bytes, and lets a session make sense of them.

Both protocols share the socket: a first byte of `{` or `[` is JSON-RPC, anything else a line.
Bounded everywhere: the number of clients, what one may send, what waits to be sent, the time that
one gets in a turn. A client that does not take its replies is not read on; a follower that does not
read loses lines. Neither costs anybody time.
"""

import os
import stat

from zinit.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Callable
    from typing import Protocol

    from zinit.control.commands import Api
    from zinit.loop import Loop

    class Session(Protocol):
        """What one protocol makes of a connection."""

        @property
        def is_over(self) -> bool:
            """Whether the connection ends when everything is sent."""
            ...

        @property
        def is_busy(self) -> bool:
            """Whether `pull` has more to do, also if it returned nothing."""
            ...

        def feed(self, data: bytes) -> bytes:
            """Take received bytes, none at their end; return what to send."""
            ...

        def pull(self) -> bytes:
            """Return more to send, when there is nothing left to send."""
            ...

        def next_time(self) -> float | None:
            """Return when `pull` is wanted at the latest."""
            ...
else:
    import _socket

RANK = 0
BACKLOG = 256
CLIENT_LIMIT = 400
ACCEPTS_PER_TURN = 16
READ_SIZE = 65536
TURN_S = 0.002  # a client's time for its requests; what is left waits for the next turn
TOKEN_BYTES = 24


class Client:
    """One connection."""

    __slots__ = ("fd", "is_ended", "outgoing", "session", "token")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.outgoing = b""
        self.is_ended = False  # it sends nothing more
        self.session: Session | None = None  # until its first byte
        self.token = ""  # came in by HTTP: what it has to know


class Server:
    """All connections."""

    def __init__(self, loop: "Loop", api: "Api") -> None:
        self._loop = loop
        self._api = api
        self._clients: dict[int, Client] = {}
        self._doors: dict[int, _socket.socket] = {}
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._http: _socket.socket | None = None
        self._token = ""
        self._address = ""  # of the HTTP socket
        self._path = ""
        api.open_http = self.open_http
        api.close_http = self.close_http
        self._told = 0  # the ring's end when sessions were last asked for more

    def open(self, path: str) -> None:
        """Listen on `path`; raises OSError (FileExistsError if another daemon answers there)."""
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        remove_stale(path)
        kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        door = _socket.socket(_socket.AF_UNIX, kind)
        try:
            door.bind(path)
            os.chmod(path, 0o600)
            door.listen(BACKLOG)
        except OSError:
            door.close()
            raise
        self._path = path
        self.watch_door(door)

    def dump(self) -> list[int]:
        """Return the descriptors of the listening sockets."""
        return list(self._doors)

    def adopt_door(self, fd: int, path: str) -> None:
        """Go on with a listening socket that is there already."""
        os.set_inheritable(fd, False)
        self._path = path
        self.watch_door(_socket.socket(fileno=fd))

    @property
    def is_open(self) -> bool:
        """Whether somebody can reach us."""
        return bool(self._doors)

    def watch_door(self, door: "_socket.socket") -> None:
        """Accept clients on a listening socket."""
        self._doors[door.fileno()] = door
        self._loop.watch(door.fileno(), RANK, lambda _: self._accept(door))

    def open_http(self, address: str) -> str:
        """Serve HTTP on `address` (see `zinit.control.http`); return the token.

        Raises OSError; then what was served before goes on, unless it had the same address.
        """
        if address == self._address:
            self.close_http()
        door = listen(address)
        self.close_http()
        self._watch_http(door, os.urandom(TOKEN_BYTES).hex(), address)
        return self._token

    def dump_http(self) -> "list[tuple[int, str, str]]":
        """Return descriptor, token and address of the HTTP socket, if there is one."""
        return [(self._http.fileno(), self._token, self._address)] if self._http else []

    def adopt_http(self, fd: int, token: str, address: str = "") -> None:
        """Go on serving HTTP on a socket that is there already."""
        os.set_inheritable(fd, False)
        self._watch_http(_socket.socket(fileno=fd), token, address)

    def _watch_http(self, door: "_socket.socket", token: str, address: str) -> None:
        self._http, self._token, self._address = door, token, address
        self._loop.watch(door.fileno(), RANK, lambda _: self._accept(door, token))

    def close_http(self) -> None:
        """End that. Connections that are there go on to their end."""
        if self._http is not None:
            self._loop.forget(self._http.fileno())
            self._http.close()
            self._http = None
            remove_socket(self._address.removeprefix("unix:"))
            self._address = ""

    def close(self) -> None:
        """Close every connection and remove the socket."""
        for client in list(self._clients.values()):
            self._drop(client)
        self.close_http()
        os.close(self._spare)
        for fd, door in self._doors.items():
            self._loop.forget(fd)
            door.close()
        self._doors.clear()
        remove_socket(self._path)

    def turn(self, now: float) -> None:
        """Give sessions what happened since the last turn."""
        is_new = self._told != self._api.ring.end
        self._told = self._api.ring.end
        for client in list(self._clients.values()):
            session = client.session
            if session is None or client.outgoing:
                continue
            at = session.next_time()
            if is_new or (at is not None and at <= now):
                self._fenced(client, self._send)

    def next_time(self) -> float | None:
        """Return when `turn` is wanted at the latest."""
        sessions = (client.session for client in self._clients.values())
        times = [session.next_time() for session in sessions if session is not None]
        return min((at for at in times if at is not None), default=None)

    def _accept(self, door: "_socket.socket", token: str = "") -> None:
        for count in range(ACCEPTS_PER_TURN):
            try:
                fd, _address = door._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError:  # looked for before whether anybody waits: only at first that is sure
                if count == 0:
                    self._turn_away(door)
                return
            os.set_blocking(fd, False)
            if len(self._clients) >= CLIENT_LIMIT:
                self._drop(self._choose_victim())
            client = self._clients[fd] = Client(fd)
            client.token = token
            self._watch(client)
            self._fenced(client, self._receive)  # most have asked by now

    def _turn_away(self, door: "_socket.socket") -> None:
        """Out of descriptors: close one that waits, or the loop would spin on it."""
        if self._clients:
            self._drop(self._choose_victim())
            return
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        try:
            os.close(door._accept()[0])  # type: ignore[attr-defined]
        except OSError:
            pass
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def _watch(self, client: Client) -> None:
        self._loop.watch(client.fd, RANK, lambda _: self._serve(client))

    def _fenced(self, client: Client, do: "Callable[[Client], None]") -> None:
        """Deal with a client; a bug costs that client its connection, and nobody else anything."""
        try:
            do(client)
        except Exception as error:
            self._drop(client)
            self._api.manager.system.fault(error)

    def _choose_victim(self) -> Client:
        """Return the oldest connection that has asked nothing, or else the oldest."""
        clients = self._clients.values()
        return next((one for one in clients if one.session is None), next(iter(clients)))

    def _serve(self, client: Client) -> None:
        """Go on sending, or else read."""
        session = client.session
        if client.outgoing or (session is not None and session.is_busy):
            self._fenced(client, self._send)
        elif client.is_ended:  # and now it does not even listen
            self._drop(client)
        else:
            self._fenced(client, self._receive)

    def _receive(self, client: Client) -> None:
        try:
            data = os.read(client.fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        if client.session is None:
            if not data:
                self._drop(client)
                return
            client.session = self._open_session(client, data)
        client.is_ended = not data
        client.outgoing = client.session.feed(data)
        self._send(client)

    def _open_session(self, client: Client, data: bytes) -> "Session":
        if client.token:
            from zinit.control.http import HttpSession

            return HttpSession(self._api, client.token)
        if data[:1] not in (b"{", b"["):
            from zinit.control.line import LineSession

            return LineSession(self._api)
        from zinit.control.jsonrpc import RpcSession

        return RpcSession(self._api)

    def _send(self, client: Client) -> None:
        """Send what there is to be sent, as far as it is taken and time allows."""
        session = client.session
        assert session is not None
        until = self._api.now() + TURN_S
        try:
            while True:
                if not client.outgoing:
                    client.outgoing = session.pull()
                if client.outgoing:
                    sent = os.write(client.fd, client.outgoing)
                    client.outgoing = client.outgoing[sent:]
                elif not session.is_busy:
                    break
                if session.is_busy and self._api.now() > until:
                    self._loop.want(client.fd, WRITE)  # can be written: so it goes on next turn
                    return
        except BlockingIOError:
            self._loop.want(client.fd, WRITE)
            return
        except OSError:
            self._drop(client)
            return
        if session.is_over:
            self._drop(client)
        else:
            self._loop.want(client.fd, 0 if client.is_ended else READ)

    def _drop(self, client: Client) -> None:
        if self._clients.pop(client.fd, None) is not None:
            self._loop.forget(client.fd)
            os.close(client.fd)


def listen(address: str) -> "_socket.socket":
    """Return a listening socket on a loopback `IP:PORT` or on `unix:PATH`; raises OSError."""
    stream = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    path = address.removeprefix("unix:")
    if path != address:
        remove_stale(path)
        door = _socket.socket(_socket.AF_UNIX, stream)
        place: str | tuple[str, int] = path
    else:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        if not is_loopback(host) or not port.isdecimal():
            raise OSError(22, "only a loopback IP:PORT, or unix:PATH, is served", address)
        door = _socket.socket(_socket.AF_INET6 if ":" in host else _socket.AF_INET, stream)
        door.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        place = (host, int(port))
    try:
        door.bind(place)
        if path != address:
            os.chmod(path, 0o600)
        door.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        door.close()
        raise OSError(22, str(error), address) from None
    return door


def remove_socket(path: str) -> None:
    """Remove the socket `path`, if it is one."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except OSError:
        pass


def is_loopback(host: str) -> bool:
    """Tell whether `host` is a loopback address; names, which may be anybody's, are none."""
    if host == "::1":
        return True
    try:
        return _socket.inet_pton(_socket.AF_INET, host)[0] == 127
    except OSError:
        return False


def remove_stale(path: str) -> None:
    """Remove a socket that nobody answers on; raises FileExistsError if somebody does.

    Anything else that is there stays, and is an OSError.
    """
    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        probe.settimeout(2.0)
        probe.connect(path)
    except FileNotFoundError:
        return
    except (BlockingIOError, TimeoutError):
        pass  # it is there, and has much to do
    except ConnectionRefusedError:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(88, "Not a socket", path) from None
        os.unlink(path)
        return
    finally:
        probe.close()
    raise FileExistsError(98, "another zinit answers there", path)
