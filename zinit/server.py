"""The control socket: accepts clients, reads requests, writes replies, feeds log followers.

Bounded everywhere: the number of clients, what one may send, what waits to be sent. A client that
does not read loses lines or its connection, never anybody's time.
"""

import os

from zinit.loop import READ, WRITE
from zinit.manager import POWEROFF, REBOOT, CommandError
from zinit.nodes import ConfigError
from zinit.protocol import ProtocolError, format_reply, parse_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Callable

    from zinit.loop import Loop
    from zinit.manager import Manager
    from zinit.ring import Ring
else:
    import _socket

RANK = 0
BACKLOG = 256
CLIENT_LIMIT = 400
REQUEST_LIMIT = 1 << 20
CHUNK_LINES = 200
READ_SIZE = 65536


class Client:
    """One connection."""

    __slots__ = ("cursor", "fd", "incoming", "is_closing", "outgoing")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.incoming = b""
        self.outgoing = b""
        self.cursor = -1  # of a log follower
        self.is_closing = False  # when everything is sent


class Server:
    """All connections of one control socket."""

    def __init__(self, loop: "Loop", manager: "Manager", ring: "Ring") -> None:
        self._loop = loop
        self._manager = manager
        self._ring = ring
        self._clients: dict[int, Client] = {}
        self._door: _socket.socket | None = None
        self._path = ""
        self._told = 0  # the ring's end when followers were last served
        self._commands: dict[str, Callable[..., object]] = {
            "list": manager.list_states,
            "status": manager.status,
            "start": manager.start,
            "stop": manager.stop,
            "forget": manager.forget,
            "monitor": manager.monitor,
            "kill": manager.kill,
        }

    def open(self, path: str) -> None:
        """Listen on `path`; raises OSError (EADDRINUSE if another daemon answers there)."""
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
        self._door = door
        self._path = path
        self._loop.watch(door.fileno(), RANK, self._accept)

    def close(self) -> None:
        """Send what can be sent at once, close every connection and remove the socket."""
        for client in list(self._clients.values()):
            self._drop(client)
        if self._door is not None:
            self._loop.forget(self._door.fileno())
            self._door.close()
            self._door = None
            try:
                os.unlink(self._path)
            except OSError:
                pass

    def feed_followers(self) -> None:
        """Send new log lines to those who follow."""
        if self._told == self._ring.end:
            return
        self._told = self._ring.end
        for client in list(self._clients.values()):
            if client.cursor >= 0 and not client.outgoing:
                self._send(client)

    def _accept(self, _: int) -> None:
        assert self._door is not None
        for _turn in range(16):
            try:
                fd, _address = self._door._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            os.set_blocking(fd, False)
            if len(self._clients) >= CLIENT_LIMIT:
                self._drop(self._choose_victim())
            client = self._clients[fd] = Client(fd)
            self._watch(client)

    def _watch(self, client: Client) -> None:
        self._loop.watch(client.fd, RANK, lambda events: self._serve(client, events))

    def _choose_victim(self) -> Client:
        """Return the oldest connection that has asked nothing, or else the oldest."""
        clients = self._clients.values()
        return next((one for one in clients if one.cursor < 0), next(iter(clients)))

    def _serve(self, client: Client, events: int) -> None:
        if events & WRITE or client.outgoing:
            self._send(client)
        if events & ~WRITE and client.fd in self._clients:
            self._receive(client)

    def _receive(self, client: Client) -> None:
        try:
            data = os.read(client.fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            client.incoming = b""
        if client.is_closing or client.cursor >= 0:
            if not data:
                self._drop(client)
            return
        client.incoming += data
        if b"\n" in client.incoming or (not data and client.incoming):
            self._answer(client)
        elif not data or len(client.incoming) > REQUEST_LIMIT:
            self._drop(client)

    def _answer(self, client: Client) -> None:
        line = client.incoming.split(b"\n", 1)[0].decode(errors="replace")
        client.incoming = b""
        client.is_closing = True
        try:
            words = parse_request(line)
            client.outgoing += self._carry_out(client, words)
        except (ProtocolError, CommandError) as error:
            client.outgoing += format_reply(str(error), is_error=True)
        except (OSError, ConfigError):
            client.outgoing += format_reply("failed to load service config", is_error=True)
        self._send(client)
        if words_end(line) and not self._manager.goal:
            self._manager.shut_down(POWEROFF if words_end(line) == "shutdown" else REBOOT)

    def _carry_out(self, client: Client, words: list[str]) -> bytes:
        name, *args = words
        if name == "log":
            if args:
                return b"".join(line + b"\n" for line in self._ring.lines())
            client.is_closing = False
            client.cursor = self._ring.start
            return b""
        if name in ("shutdown", "reboot"):
            if self._manager.goal:
                raise CommandError("shutdown", "zinit is shutting down")
            return format_reply(None)
        return format_reply(self._commands[name](*args))

    def _send(self, client: Client) -> None:
        try:
            while True:
                if not client.outgoing and client.cursor >= 0:
                    client.outgoing = self._next_lines(client)
                if not client.outgoing:
                    break
                sent = os.write(client.fd, client.outgoing)
                client.outgoing = client.outgoing[sent:]
        except BlockingIOError:
            self._loop.want(client.fd, READ | WRITE)
            return
        except OSError:
            self._drop(client)
            return
        if client.is_closing:
            self._drop(client)
        else:
            self._loop.want(client.fd, READ)

    def _next_lines(self, client: Client) -> bytes:
        lines, client.cursor, missed = self._ring.read(client.cursor, CHUNK_LINES)
        if missed:
            lines.insert(0, b"[-] zinit: %d lines dropped" % missed)
        return b"".join(line + b"\n" for line in lines)

    def _drop(self, client: Client) -> None:
        if self._clients.pop(client.fd, None) is not None:
            self._loop.forget(client.fd)
            os.close(client.fd)


def words_end(line: str) -> str:
    """Return `shutdown` or `reboot` if that is the command."""
    word = line.strip()
    return word if word in ("shutdown", "reboot") else ""


def remove_stale(path: str) -> None:
    """Remove a socket that nobody answers on; raises FileExistsError if somebody does."""
    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        probe.settimeout(2.0)
        probe.connect(path)
    except FileNotFoundError:
        return
    except OSError:
        os.unlink(path)
        return
    finally:
        probe.close()
    raise FileExistsError(98, "another zinit answers there", path)
