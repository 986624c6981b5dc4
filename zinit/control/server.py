"""The connections of clients: moves their bytes and lets a session interpret them.

Both protocols share the control socket: a first byte of `{` or `[` is JSON-RPC, anything else is
the line protocol. Everything is bounded: the number of clients, the size of a request, the bytes
queued for a client and for all, and the time a client gets in a turn. No request is read from a
client that does not accept its replies; a log follower that does not read loses lines. Neither
delays others.
"""

import os

from zinit.control.listeners import Listeners
from zinit.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from zinit.control.api import Api
    from zinit.loop import Loop
    from zinit.process.handover import HandOver

    class Session(Protocol):
        """Interprets the bytes of one connection."""

        @property
        def is_over(self) -> bool:
            """Whether the connection ends when everything has been sent."""
            ...

        @property
        def is_trusted(self) -> bool:
            """Whether the client has shown that it may give commands."""
            ...

        @property
        def is_busy(self) -> bool:
            """Whether `pull` has more to do, even if it returned nothing."""
            ...

        def feed(self, data: bytes) -> bytes:
            """Take received bytes, empty at their end; return bytes to send."""
            ...

        def pull(self) -> bytes:
            """Return more bytes to send; called when all others have been sent."""
            ...

        def next_time(self) -> float | None:
            """Return when `pull` must be called."""
            ...


RANK = 0
CLIENT_LIMIT = 400
READ_SIZE = 65536
QUEUE_LIMIT = 64 << 20  # bytes that wait for all clients together
LARGE_REPLY = 64 << 10
TURN_S = 0.002  # time for one client's requests; the rest waits for the next turn


class Client:
    """One connection."""

    __slots__ = ("fd", "is_ended", "outgoing", "session", "token")

    def __init__(self, fd: int, token: str) -> None:
        self.fd = fd
        self.token = token  # not empty: it speaks HTTP and must present this
        self.outgoing = b""
        self.is_ended = False  # the client has closed its side
        self.session: Session | None = None  # until the first byte arrives

    @property
    def is_trusted(self) -> bool:
        """Whether it may give commands: it came through root's socket, or has the token."""
        return not self.token or (self.session is not None and self.session.is_trusted)


class Server:
    """All connections."""

    def __init__(self, loop: "Loop", api: "Api") -> None:
        self._loop = loop
        self._api = api
        self._clients: dict[int, Client] = {}
        report = api.manager.system.report
        self._listeners = Listeners(loop, report, self._add_client, self._make_room)
        self._seen = 0  # the ring's end when sessions were last asked for log lines
        api.open_http = self._listeners.open_http
        api.close_http = self._listeners.close_http

    @property
    def is_open(self) -> bool:
        """Whether clients can connect."""
        return self._listeners.is_open

    def open(self, path: str) -> None:
        """Listen on `path`; raises OSError (FileExistsError if another daemon answers there)."""
        self._listeners.open(path)

    def look(self) -> None:
        """Close the control socket if its file was removed or replaced: nobody can connect."""
        self._listeners.look()

    def dump(self, hand_over: "HandOver") -> "dict[str, object]":
        """Return the listening sockets; connections of clients are not kept."""
        return self._listeners.dump(hand_over)

    def restore(self, state: "dict[str, Any]") -> None:
        """Listen on the sockets that `dump` returned."""
        self._listeners.restore(state)

    def close(self) -> None:
        """Close every connection and remove the sockets."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._listeners.close()

    def turn(self, now: float) -> None:
        """Let sessions send what has become available since the last turn."""
        is_new = self._seen != self._api.ring.end
        self._seen = self._api.ring.end
        for client in list(self._clients.values()):
            session = client.session
            if session is None or client.outgoing:
                continue
            at = session.next_time()
            if is_new or (at is not None and at <= now):
                self._fenced(client, self._send)

    def next_time(self) -> float | None:
        """Return when `turn` must be called."""
        sessions = (client.session for client in self._clients.values())
        times = [session.next_time() for session in sessions if session is not None]
        return min((at for at in times if at is not None), default=None)

    def _add_client(self, fd: int, token: str) -> None:
        if len(self._clients) >= CLIENT_LIMIT and not self._make_room(token):
            os.close(fd)
            return
        client = self._clients[fd] = Client(fd, token)
        self._loop.watch(fd, RANK, lambda _: self._serve(client))
        self._fenced(client, self._receive)  # most clients have sent their request by now

    def _make_room(self, token: str) -> bool:
        """Close a connection for a new one that has to present `token`; return whether one was.

        That is the oldest one without a request, or else the oldest one. Clients that have yet to
        present their token come first, and are all that another of them can push out.
        """
        clients = list(self._clients.values())
        strangers = [one for one in clients if not one.is_trusted]
        victims = strangers or ([] if token else clients)
        if not victims:
            return False
        self._drop(next((one for one in victims if one.session is None), victims[0]))
        return True

    def _limit_queues(self) -> None:
        """Close the connections with most unread bytes while these are too many in all."""
        waiting = sum(len(one.outgoing) for one in self._clients.values())
        while waiting > QUEUE_LIMIT:
            worst = max(self._clients.values(), key=lambda one: len(one.outgoing))
            waiting -= len(worst.outgoing)
            self._drop(worst)

    def _fenced(self, client: Client, handle: "Callable[[Client], None]") -> None:
        """Call `handle`; an unexpected exception costs this client its connection only."""
        try:
            handle(client)
        except Exception as error:
            self._drop(client)
            self._api.manager.system.fault(error)

    def _serve(self, client: Client) -> None:
        """Handle an event: send if there is anything to send, or else read."""
        session = client.session
        if client.outgoing or (session is not None and session.is_busy):
            self._fenced(client, self._send)
        elif client.is_ended:  # an event after that means that it has hung up
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
            client.session = self._begin_session(client, data)
        client.is_ended = not data
        client.outgoing = client.session.feed(data)
        self._send(client)

    def _begin_session(self, client: Client, data: bytes) -> "Session":
        try:
            return self._open_session(client, data)
        except OSError:  # no descriptor is free to read the session's module
            return self._listeners.use_spare(lambda: self._open_session(client, data))

    def _open_session(self, client: Client, data: bytes) -> "Session":
        """Return a session for the protocol of the first bytes."""
        if client.token:
            from zinit.control.http import HttpSession

            return HttpSession(self._api, client.token)
        if data[:1] not in (b"{", b"["):
            from zinit.control.line import LineSession

            return LineSession(self._api)
        from zinit.control.jsonrpc import RpcSession

        return RpcSession(self._api)

    def _send(self, client: Client) -> None:
        """Send as much as the client accepts and its time in this turn allows."""
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
                    self._loop.want(client.fd, WRITE)  # writable at once, so next turn goes on
                    return
        except BlockingIOError:
            self._loop.want(client.fd, WRITE)
            if len(client.outgoing) > LARGE_REPLY:
                self._limit_queues()
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
