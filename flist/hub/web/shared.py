"""What several routes share: how files and blocks are sent, and how a body becomes a draft."""

import contextlib
import hashlib
import threading
from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException, Request
from starlette.responses import Response

from flist.hub.contents.contents import Contents, Draft
from serving.bodies import PIECE_BYTES, read_pieces
from serving.content import Content
from serving.openapi import IN_PARTS, describe_problems
from serving.pools import Pool
from serving.respond import send_content

NEVER_CHANGES = "public, max-age=31536000, immutable"
PRIVATE = "private, max-age=31536000, immutable"
BINARY = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
COUNTED_BLOCKS = 1_000_000
CONTENT: dict[str, Any] = {"response_class": Response, "responses": IN_PARTS}
"""The options of an address that sends files."""
SIGNED_IN: dict[int | str, dict[str, Any]] = describe_problems(400, 401, 403, 405)
"""What an address answers to a token that is wrong or may too little, and to a slash in a name."""


class Downloads:
    """Counts the downloads of each block; `take` gives what is not in the database yet."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.lock = threading.Lock()

    def add(self, name: str) -> None:
        """Count one download of a block."""
        with self.lock:
            if name in self.counts or len(self.counts) < COUNTED_BLOCKS:
                self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[bytes, int]:
        """Return the counts by block id, and begin again."""
        with self.lock:
            counts, self.counts = self.counts, {}
        return {bytes.fromhex(name): count for name, count in counts.items()}


def send_immutable(
    request: Request, content: Content | None, *, is_open: bool = True, kind: str = BINARY
) -> Response:
    """Return what never changes under its address; answers 404 for None."""
    if content is None:
        raise HTTPException(404, "there is no such file or block")
    headers = {"Cache-Control": NEVER_CHANGES if is_open else PRIVATE}
    return send_content(request, content, kind, headers)


async def receive_body(request: Request, contents: Contents, limit: int, pool: Pool) -> Draft:
    """Return the request's body as a draft; files are touched in threads only."""
    arrival = contents.arrival()
    stream, path = await pool.run(arrival.__enter__)
    total, size = hashlib.sha256(), 0

    def write(piece: bytes) -> None:
        total.update(piece)
        stream.write(piece)

    try:
        async for piece in read_pieces(request, PIECE_BYTES, limit):
            await pool.run(write, piece)
            size += len(piece)
    except BaseException as error:
        with contextlib.suppress(type(error)):
            arrival.__exit__(type(error), error, error.__traceback__)
        raise
    await pool.run(arrival.__exit__, None, None, None)
    return Draft(path, total.hexdigest(), size)


def headers_of(names: Mapping[str, str], *, is_open: bool) -> dict[str, str]:
    """Return headers with the right `Cache-Control` for what may change."""
    return {**names, "Cache-Control": "no-cache" if is_open else "private, no-cache"}
