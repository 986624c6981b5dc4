"""The commands of a zdb namespace: sequential ones for pieces, user ones for metadata."""

from collections.abc import Iterator
from typing import NamedTuple

from zstor.backends.connection import refused
from zstor.backends.pool import Pool
from zstor.backends.replies import Refusal
from zstor.errors import BackendError, FullError
from zstor.model import Backend

MAX_VALUE = 8 << 20
FULL = "No space left"
LAST_PAGE = "No more data"


class Entry(NamedTuple):
    """A key of a namespace, the size of its value, and when it was set (seconds since 1970)."""

    key: bytes
    size: int
    time: int


class Namespace(NamedTuple):
    """What a server says about a namespace."""

    mode: str
    entries: int
    used: int
    limit: int
    available: int
    is_locked: bool

    @property
    def free(self) -> int:
        """Return how many bytes more it takes."""
        return max(0, min(self.limit - self.used, self.available) if self.limit else self.available)


class Servers:
    """The backends' commands, over a pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def add(self, backend: Backend, value: bytes) -> bytes:
        """Store a piece in a sequential namespace; return the key that it got."""
        return self._set(backend, b"", value)

    def put(self, backend: Backend, key: bytes, value: bytes) -> None:
        """Store a value under a key."""
        self._set(backend, key, value)

    def _set(self, backend: Backend, key: bytes, value: bytes) -> bytes:
        reply = self.pool.call(backend, "SET", key, value)
        if isinstance(reply, Refusal) and FULL in reply.text:
            raise FullError(f"cannot store at {backend.place}: {reply.text}")
        if reply is None and key:
            return key  # the value was there already
        if not isinstance(reply, bytes) or not 0 < len(reply) <= 255:
            raise refused(backend, "store", reply)
        return reply

    def get(self, backend: Backend, key: bytes, most: int = MAX_VALUE) -> bytes | None:
        """Return the value of a key, of `most` bytes at most; None if there is none."""
        reply = self.pool.call(backend, "GET", key, most=most)
        if reply is not None and not isinstance(reply, bytes):
            raise refused(backend, "read", reply)
        return reply

    def has(self, backend: Backend, key: bytes) -> bool:
        """Return whether a key is there. The server does not read its value."""
        reply = self.pool.call(backend, "EXISTS", key)
        if not isinstance(reply, int):
            raise refused(backend, "look", reply)
        return reply == 1

    def delete(self, backend: Backend, key: bytes) -> None:
        """Remove a key, if it is there."""
        reply = self.pool.call(backend, "DEL", key)
        if isinstance(reply, Refusal) and "not found" not in reply.text.lower():
            raise refused(backend, "delete", reply)

    def scan(self, backend: Backend) -> Iterator[Entry]:
        """Yield all entries of a namespace, in the order of their last SET."""
        cursor: tuple[bytes, ...] = ()
        while True:
            reply = self.pool.call(backend, "SCAN", *cursor, most=1 << 20)
            if isinstance(reply, Refusal) and LAST_PAGE in reply.text:
                return
            page = _page(reply)
            if page is None:
                raise refused(backend, "list", reply)
            yield from page[1]
            cursor = (page[0],)

    def info(self, backend: Backend) -> Namespace:
        """Return what the server says about the namespace."""
        name = backend.place.namespace or "default"
        reply = self.pool.call(backend, "NSINFO", name)
        if not isinstance(reply, bytes):
            raise refused(backend, "ask about", reply)
        lines = (line.partition(": ") for line in reply.decode("utf-8", "replace").splitlines())
        values = {key.strip(): value.strip() for key, _, value in lines}
        try:
            return Namespace(
                mode=values["mode"],
                entries=int(values["entries"]),
                used=int(values["data_size_bytes"]),
                limit=int(values["data_limits_bytes"]),
                available=int(values.get("space_available", 1 << 63)),
                is_locked=values.get("locked") == "yes",
            )
        except (KeyError, ValueError) as error:
            raise BackendError(f"cannot ask about {backend.place}: unknown answer") from error


def _page(reply: object) -> tuple[bytes, list[Entry]] | None:
    """Return the cursor and the entries of a SCAN reply."""
    if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[0], bytes):
        return None
    if not isinstance(reply[1], list):
        return None
    entries = []
    for item in reply[1]:
        if not isinstance(item, list) or len(item) < 3 or not isinstance(item[0], bytes):
            return None
        if not (isinstance(item[1], int) and isinstance(item[2], int)):
            return None
        entries.append(Entry(item[0], item[1], item[2]))
    return reply[0], entries
