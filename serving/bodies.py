"""Request bodies, read with a limit for each and a limit on the memory of all together."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request

from common.errors import ZosError
from common.files import open_atomic
from serving.pools import Pool

PIECE_BYTES = 1 << 20
LINGER_BYTES = 8 << 20
"""A body that is too large by less than this is received to its end, and dropped: a client that is
still sending when the server closes the connection does not see the response."""


class BodyTooLargeError(ZosError):
    """The body is larger than the route takes."""

    http_status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")


class MemoryFullError(ZosError):
    """Too many request bodies are in memory at the moment."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__("too many requests are being received", hint="try again in a moment")
        self.http_headers = {"Retry-After": "1"}


class BodyMemory:
    """Counts the bytes of all request bodies that are in memory.

    Guests, who have shown no token, get half of it: however many send slowly, the others are
    served.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, request: Request, count: int, *, is_guest: bool = False) -> None:
        """Count bytes for `request`, until it has been answered. Raises `MemoryFullError`."""
        if self.used + count > (self.limit // 2 if is_guest else self.limit):
            request.app.state.kit.metrics.rejected.labels("body_memory").inc()
            raise MemoryFullError
        self.used += count
        state = request.scope.setdefault("state", {})
        state["body_bytes"] = state.get("body_bytes", 0) + count

    def give_back(self, state: dict[str, int]) -> None:
        """Forget the bytes of a request; `state` is its scope's."""
        self.used -= state.pop("body_bytes", 0)


async def check_length(request: Request, limit: int) -> None:
    """Raise `BodyTooLargeError` when the head already announces more than `limit` bytes."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) <= limit:
        return
    if int(length) <= limit + LINGER_BYTES:
        async for _ in request.stream():
            pass
    raise BodyTooLargeError(limit)


async def read_body(request: Request, limit: int, *, is_guest: bool = False) -> bytes:
    """Return the whole body. Raises `BodyTooLargeError` and `MemoryFullError`."""
    await check_length(request, limit)
    memory: BodyMemory = request.app.state.kit.bodies
    body = bytearray()
    async for data in request.stream():
        if len(body) + len(data) > limit:
            raise BodyTooLargeError(limit)
        memory.take(request, len(data), is_guest=is_guest)
        body += data
    return bytes(body)


async def read_pieces(request: Request, size: int, limit: int) -> AsyncIterator[bytes]:
    """Yield the body in pieces of `size` bytes, the last one shorter.

    At most one piece is in memory. Raises `BodyTooLargeError` and `MemoryFullError`.
    """
    await check_length(request, limit)
    memory: BodyMemory = request.app.state.kit.bodies
    pending = bytearray()
    total = taken = 0
    async for data in request.stream():
        total += len(data)
        if total > limit:
            raise BodyTooLargeError(limit)
        if len(pending) + len(data) > taken:
            memory.take(request, len(pending) + len(data) - taken)
            taken = len(pending) + len(data)
        pending += data
        while len(pending) >= size:
            yield bytes(pending[:size])
            del pending[:size]
    if pending:
        yield bytes(pending)


async def save_body(request: Request, path: Path, limit: int, pool: Pool) -> None:
    """Make the body the content of `path`, whole or not at all."""
    await save_stream(read_pieces(request, PIECE_BYTES, limit), open_atomic, path, pool)


async def save_stream(
    pieces: AsyncIterator[bytes],
    opener: Callable[[Path], AbstractContextManager[BinaryIO]],
    path: Path,
    pool: Pool,
) -> None:
    """Write `pieces` into the file that `opener` opens; files are touched in threads only."""
    manager = opener(path)
    stream = await pool.run(manager.__enter__)
    try:
        async for piece in pieces:
            await pool.run(stream.write, piece)
    except BaseException as error:
        manager.__exit__(type(error), error, error.__traceback__)
        raise
    await pool.run(manager.__exit__, None, None, None)
