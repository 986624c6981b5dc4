"""A response that sends a `Content`: HEAD, Range, If-Range, If-None-Match, exact length."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving.content import Content
from serving.ranges import UnsatisfiableError, choose_range, is_match

CHUNK_BYTES = 1 << 16


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
        """Send the head, then the span in chunks, each read when the one before has left."""
        start = {"type": "http.response.start", "status": self.status_code}
        connection: Any = scope.get("state", {}).get("connection")
        try:
            await send({**start, "headers": self.raw_headers})
            at, stop = self._span.start, self._span.stop
            while at < stop:
                if connection:
                    await connection.wait_until_sent()
                limit = connection.chunk_bytes(at - self._span.start) if connection else CHUNK_BYTES
                data = await self._content.read(at, min(limit, stop - at))
                await send({"type": "http.response.body", "body": data, "more_body": True})
                at += len(data)
                del data  # a client that reads nothing must not keep it in memory
                await asyncio.sleep(0)  # a fast client must not keep the loop from the others
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._content.close()


def send_content(
    request: Request, content: Content, media_type: str, headers: Mapping[str, str]
) -> Response:
    """Return the response to `request` for `content`, which the response closes.

    Raises `UnsatisfiableError` (416), after closing the content.
    """
    head = {
        "Content-Type": media_type,
        "ETag": content.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache",  # a cache may keep it, and must revalidate it
        **headers,
    }
    if is_match(request.headers.get("if-none-match"), content.etag):
        content.close()
        return Response(
            status_code=304, headers={key: head[key] for key in ("ETag", "Cache-Control")}
        )
    asked, if_range = request.headers.get("range"), request.headers.get("if-range")
    try:
        part = choose_range(asked, if_range, content.etag, content.size)
    except UnsatisfiableError as error:
        content.close()
        error.http_headers = {"Content-Range": f"bytes */{content.size}"}
        raise
    span = range(content.size) if part is None else part
    head["Content-Length"] = str(len(span))
    if part is not None:
        head["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{content.size}"
    sent = range(0) if request.method == "HEAD" else span
    return ContentResponse(content, sent, 200 if part is None else 206, head)
