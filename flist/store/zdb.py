"""The `zdb` (and `redis`) store: raw 32-byte keys in a 0-db namespace or a Redis database.

    zdb://[user[:password]@]host[:9900][/namespace]    zdb:///path/of/socket

A few commands of the Redis protocol (RESP 2) over pooled connections. The client is our own: it
limits what a server can make us read, and needs no further package on a node.
"""

import socket
import threading
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

from common.errors import UsageError
from flist.errors import BlockMissingError, StoreError, StoreUnavailableError
from flist.http.patience import LONGEST_S, Patience, PatientSocket
from flist.model import MAX_BLOCK_BYTES

ZDB_PORT, REDIS_PORT = 9900, 6379
MAX_LINE = 1024
BUSY = ("LOADING", "TRYAGAIN", "BUSY", "CLUSTERDOWN", "MASTERDOWN")
MAX_BYTES = MAX_BLOCK_BYTES + 65536  # blocks of older flists have another limit
Command = tuple[bytes, ...]
Answer = bytes | int | None


class Address(NamedTuple):
    """The parts of a store's URL."""

    host: str
    port: int
    socket_path: str
    user: str
    password: str
    namespace: str


class Refusal(Exception):  # noqa: N818 it is an answer of the server
    """An error reply."""


class Connection:
    """One connection to a server."""

    def __init__(self, address: Address, patience: Patience, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.socket = PatientSocket(connect(address, patience.left()), patience)
        self.stream: BinaryIO = self.socket.makefile()
        try:
            self.log_in(address)
        except BaseException:
            self.close()
            raise

    def log_in(self, address: Address) -> None:
        """Authenticate and choose the namespace."""
        if address.user and not address.namespace:
            words = [address.user, address.password] if address.password else [address.user]
            self.call(b"AUTH", *(word.encode() for word in words))
        if address.namespace:
            words = [address.namespace] + ([address.password] if address.password else [])
            self.call(b"SELECT", *(word.encode() for word in words))

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()
        self.socket.close()

    def call(self, *words: bytes) -> Answer:
        """Send one command and return the answer; raises `Refusal`, `OSError`."""
        return self.call_all([words])[0]

    def call_all(self, commands: Sequence[Command]) -> list[Answer]:
        """Send all commands, then read their answers.

        Several commands must have short answers: a server may stop reading until its answers are
        read.
        """
        self.socket.sendall(b"".join(map(pack_command, commands)))
        return [self.read_answer() for _ in commands]

    def read_answer(self) -> Answer:
        """Read one reply: a string, a number, or nil (None)."""
        line = self.stream.readline(MAX_LINE)
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the answer is cut off")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise Refusal(rest.decode(errors="replace"))
        try:
            number = int(rest)
        except ValueError:
            number = -2
        if kind == b":":
            return number
        if kind == b"$" and number == -1:
            return None
        if kind != b"$" or not 0 <= number <= self.max_bytes:
            raise ConnectionError("the answer is not valid")
        data = self.stream.read(number + 2)
        if len(data) != number + 2:
            raise ConnectionError("the answer is cut off")
        return data[:-2]


def pack_command(words: Command) -> bytes:
    """Return a command in wire format."""
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%b" % (len(words), b"".join(parts))


def connect(address: Address, timeout_s: float) -> socket.socket:
    """Return a connected socket; raises `OSError`."""
    if not address.socket_path:
        return socket.create_connection((address.host, address.port), timeout_s)
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.settimeout(timeout_s)
        connected.connect(address.socket_path)
    except BaseException:
        connected.close()
        raise
    return connected


class ZdbStore:
    """Blocks in a 0-db or Redis server."""

    def __init__(self, address: Address, shown: str, timeout_s: float = LONGEST_S) -> None:
        self.address = address
        self.shown = shown
        self.timeout_s = timeout_s
        self.max_bytes = MAX_BYTES
        self.idle: list[Connection] = []
        self.lock = threading.Lock()

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        return self.get_within(block_id, self.timeout_s)

    def get_within(self, block_id: bytes, patience_s: float) -> bytes:
        """Return a block; the server is given up after `patience_s` seconds of silence."""
        data = self.ask(b"GET", block_id, patience_s=patience_s)
        if not isinstance(data, bytes) or not data:
            raise BlockMissingError(
                f"cannot read block {block_id.hex()}: it is not in {self.shown}"
            )
        return data

    def has(self, block_id: bytes) -> bool:
        """Return whether the block is there."""
        return self.ask(b"EXISTS", block_id) == 1

    def missing(self, block_ids: Sequence[bytes]) -> set[bytes]:
        """Return which blocks are not there, with one round trip."""
        answers = self.ask_all([(b"EXISTS", block_id) for block_id in block_ids])
        return {block_id for block_id, found in zip(block_ids, answers, strict=True) if found != 1}

    def put(self, block_id: bytes, data: bytes) -> None:
        """Keep a block; 0-db answers with the key, or with nil if it has the block already."""
        self.ask(b"SET", block_id, data)

    def remove(self, block_id: bytes) -> None:
        """Remove a block; 0-db refuses to remove what it does not have."""
        try:
            self.ask(b"DEL", block_id)
        except StoreUnavailableError:
            raise
        except StoreError:
            if self.has(block_id):
                raise

    def ask(self, *words: bytes, patience_s: float = LONGEST_S) -> Answer:
        """Send one command and return the answer."""
        return self.ask_all([words], patience_s)[0]

    def ask_all(self, commands: Sequence[Command], patience_s: float = LONGEST_S) -> list[Answer]:
        """Send commands at once and return the answers; a kept connection that died is replaced
        once."""
        patience = Patience(min(patience_s, self.timeout_s))
        with self.lock:
            kept = self.idle.pop() if self.idle else None
        try:
            if kept is not None:
                kept.socket.patience = patience
                try:
                    return self.exchange(kept, commands)
                except OSError as error:
                    if isinstance(error, TimeoutError):
                        raise
                    # The server closed it while it was idle.
            return self.exchange(Connection(self.address, patience, self.max_bytes), commands)
        except Refusal as refusal:
            raise self.refuse(refusal) from refusal
        except OSError as error:
            if isinstance(error, TimeoutError):
                self.close()  # the idle connections may be as dead
            raise StoreUnavailableError(f"cannot reach {self.shown}: {error}") from error

    def exchange(self, connection: Connection, commands: Sequence[Command]) -> list[Answer]:
        """Send commands over `connection`, and keep it for the next call."""
        try:
            answers = connection.call_all(commands)
        except Refusal as refusal:
            if len(commands) == 1:
                self.keep(connection)
            else:
                connection.close()  # more answers would follow
            raise self.refuse(refusal) from refusal
        except BaseException:
            connection.close()
            raise
        self.keep(connection)
        return answers

    def refuse(self, refusal: Refusal) -> StoreError:
        """Return the error for an error reply."""
        text = f"{self.shown} refused: {refusal}"
        if str(refusal).startswith(BUSY):
            return StoreUnavailableError(text)
        return StoreError(text)

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next command."""
        with self.lock:
            self.idle.append(connection)

    def flush(self) -> None:
        """Do nothing: the server decides when it writes to disk."""

    def close(self) -> None:
        """Close the kept connections."""
        with self.lock:
            idle, self.idle = self.idle, []
        for connection in idle:
            connection.close()


def parse_address(url: str) -> Address:
    """Return the parts of a store's URL; raises `UsageError`."""
    try:
        parts = urlsplit(url)
        default = REDIS_PORT if parts.scheme == "redis" else ZDB_PORT
        host, port = parts.hostname or "", parts.port or default
    except ValueError as error:
        raise UsageError(f"cannot open store {url!r}: {error}") from error
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    path = unquote(parts.path)
    if not host:
        if not path.startswith("/") or path == "/":
            raise UsageError(f"cannot open store {url!r}: it names no host and no socket")
        return Address("", 0, path, user, password, "")
    namespace = path.strip("/")
    return Address(host, port, "", user, password, "" if namespace == "default" else namespace)


def open_store(url: str) -> ZdbStore:
    """Return the store at `url`."""
    address = parse_address(url)
    shown = f"zdb://{address.socket_path or f'{address.host}:{address.port}/{address.namespace}'}"
    return ZdbStore(address, shown)
