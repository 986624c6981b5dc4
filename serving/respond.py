"""A response that sends a `Content`: HEAD, Range, If-Range, If-None-Match, exact length."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from serving.content import Content, FilePart
from serving.ranges import UnsatisfiableError, choose_range, is_match

CHUNK_BYTES = 1 << 16
PART_BYTES = 1 << 20
"""What the kernel is given to send of a file before others get their turn."""
ZERO_COPY = "http.response.zerocopysend"
"""The ASGI extension. A middleware that must see the bytes removes it from the scope."""


class Plan(NamedTuple):
    """What is answered: status, head, and which bytes of the content."""

    status: int
    head: Mapping[str, str]
    span: range


class ContentResponse(Response):
    """Sends `span` of a content, or nothing of it, and closes it whatever happens."""

    def __init__(
        self, content: Content, span: range, status_code: int, headers: Mapping[str, str]
    ) -> None:
        self._content = content
        self._span = span
        self.status_code = status_code
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the head, then the span in pieces, each when the one before has left."""
        start = {"type": "http.response.start", "status": self.status_code}
        connection: Any = scope.get("state", {}).get("connection")
        may_copy_nothing = ZERO_COPY in scope.get("extensions", {})
        try:
            await send({**start, "headers": self.raw_headers})
            at, stop = self._span.start, self._span.stop
            while at < stop:
                if connection:
                    await connection.wait_until_sent()
                limit = connection.chunk_bytes(at - self._span.start) if connection else CHUNK_BYTES
                span = range(at, stop)
                piece = await next_piece(self._content, span, limit, in_files=may_copy_nothing)
                at += count_bytes(piece)
                await send(make_message(piece))
                del piece  # a client that reads nothing must not keep it in memory
                await asyncio.sleep(0)  # a fast client must not keep the loop from the others
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._content.close()


async def next_piece(
    content: Content, span: range, limit: int, *, in_files: bool
) -> FilePart | bytes:
    """Return the first bytes of `span`: as part of a file, or at most `limit` that are read."""
    # A test for the protocol would take a tenth of a millisecond, for every piece.
    part_at: Callable[[int, int], FilePart | None] | None = getattr(content, "part_at", None)
    if in_files and part_at:
        part = part_at(span.start, min(PART_BYTES, len(span)))
        if part:
            return part
    return await content.read(span.start, min(limit, len(span)))


def count_bytes(piece: FilePart | bytes) -> int:
    """Return the length of a piece."""
    return piece.size if isinstance(piece, FilePart) else len(piece)


def make_message(piece: FilePart | bytes) -> Message:
    """Return the message that sends a piece, and is not the last one."""
    if not isinstance(piece, FilePart):
        return {"type": "http.response.body", "body": piece, "more_body": True}
    where = {"file": piece.handle, "offset": piece.start, "count": piece.size}
    return {"type": ZERO_COPY, **where, "more_body": True}


def plan_answer(
    is_head: bool,
    find_header: Callable[[str], str | None],
    content: Content,
    media_type: str,
    headers: Mapping[str, str],
) -> Plan:
    """Return what is answered to a request for `content`. Raises `UnsatisfiableError` (416)."""
    etag, size = content.etag, content.size
    head = {
        "Content-Type": media_type,
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache",  # a cache may keep it, and must revalidate it
        **headers,
    }
    if is_match(find_header("if-none-match"), etag):
        return Plan(304, {key: head[key] for key in ("ETag", "Cache-Control")}, range(0))
    try:
        part = choose_range(find_header("range"), find_header("if-range"), etag, size)
    except UnsatisfiableError as error:
        error.http_headers = {"Content-Range": f"bytes */{size}"}
        raise
    span = range(size) if part is None else part
    head["Content-Length"] = str(len(span))
    if part is not None:
        head["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return Plan(200 if part is None else 206, head, range(0) if is_head else span)


def send_content(
    request: Request, content: Content, media_type: str, headers: Mapping[str, str]
) -> Response:
    """Return the response to `request` for `content`, which the response closes.

    Raises `UnsatisfiableError` (416), after closing the content.
    """
    is_head = request.method == "HEAD"
    try:
        plan = plan_answer(is_head, request.headers.get, content, media_type, headers)
    except UnsatisfiableError:
        content.close()
        raise
    if plan.status == 304:
        content.close()
        return Response(status_code=304, headers=dict(plan.head))
    return ContentResponse(content, plan.span, plan.status, plan.head)
