"""A stand-in for a zdb server, as far as Zero-Store uses one."""

import contextlib
import hashlib
import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

from zstor.backends.replies import Replies

WAIT_S = 10
MODES = {"seq": "sequential", "user": "userkey"}


class Space:
    """A namespace."""

    def __init__(self) -> None:
        self.mode, self.password, self.limit, self.next = "user", "", 0, 0
        self.values: dict[bytes, bytes] = {}

    @property
    def used(self) -> int:
        return sum(map(len, self.values.values()))


class Session(socketserver.BaseRequestHandler):
    """One client."""

    server: "StandIn"

    def handle(self) -> None:
        replies = Replies(self.request.recv)
        self.space, self.nonce = self.server.spaces["default"], b""
        self.server.clients.append(self.request)
        with contextlib.suppress(OSError):
            while True:
                words = replies.read(16 << 20)
                assert isinstance(words, list)
                self.request.sendall(self.answer([w for w in words if isinstance(w, bytes)]))

    def answer(self, words: list[bytes]) -> bytes:
        name, args = words[0].decode().upper(), words[1:]
        if self.server.is_down:
            return b"-Not now\r\n"
        return bytes(getattr(self, f"do_{name.lower()}")(*args))

    def do_auth(self, *_: bytes) -> bytes:
        self.nonce = os.urandom(8).hex().encode()
        return b"+" + self.nonce + b"\r\n"

    def do_nsnew(self, name: bytes) -> bytes:
        self.server.spaces[name.decode()] = Space()
        return b"+OK\r\n"

    def do_nsset(self, name: bytes, what: bytes, value: bytes) -> bytes:
        space = self.server.spaces[name.decode()]
        if what == b"maxsize":
            space.limit = int(value)
        else:
            setattr(space, what.decode(), value.decode())
        return b"+OK\r\n"

    def do_select(self, name: bytes, *proof: bytes) -> bytes:
        space = self.server.spaces.get(name.decode())
        if space is None:
            return b"-Namespace not found\r\n"
        own = hashlib.sha1(self.nonce + b":" + space.password.encode()).hexdigest().encode()
        if space.password and proof != (b"SECURE", own):
            return b"-Access denied\r\n"
        self.space = space
        return b"+OK\r\n"

    def do_nsinfo(self, name: bytes) -> bytes:
        space = self.server.spaces[name.decode()]
        return bulk(
            f"name: {name.decode()}\nentries: {len(space.values)}\nmode: {MODES[space.mode]}\n"
            f"data_size_bytes: {space.used}\ndata_limits_bytes: {space.limit}\n"
            "space_available: 1000000000\n".encode()
        )

    def do_set(self, key: bytes, value: bytes) -> bytes:
        space = self.space
        with self.server.lock:
            if space.limit and space.used + len(value) > space.limit:
                return b"-No space left on this namespace\r\n"
            if space.mode == "seq" and not key:
                key = space.next.to_bytes(8, "little")
                space.next += 1
            if space.values.get(key) == value:
                return b"$-1\r\n"
            space.values[key] = value
            return bulk(key)

    def do_get(self, key: bytes) -> bytes:
        value = self.space.values.get(key)
        return b"$-1\r\n" if value is None else bulk(value)

    def do_del(self, key: bytes) -> bytes:
        with self.server.lock:
            gone = self.space.values.pop(key, None) is None
        return b"-Key not found\r\n" if gone else b"+OK\r\n"

    def do_scan(self, cursor: bytes = b"0") -> bytes:
        items = list(self.space.values.items())[int(cursor) : int(cursor) + 10]
        if not items:
            return b"-No more data\r\n"
        now = int(time.time())
        rows = [b"*3\r\n" + bulk(k) + b":%d\r\n:%d\r\n" % (len(v), now) for k, v in items]
        following = bulk(b"%d" % (int(cursor) + len(items)))
        return b"*2\r\n" + following + b"*%d\r\n" % len(rows) + b"".join(rows)


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


class StandIn(socketserver.ThreadingTCPServer):
    """The server."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Session)
        self.is_down = False
        self.lock = threading.Lock()
        self.spaces = {"default": Space()}
        self.clients: list[socket.socket] = []


@contextlib.contextmanager
def serve() -> Iterator[StandIn]:
    """Run a server."""
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(WAIT_S)
            for client in server.clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
