"""One request and its answer over a stream: HTTP/1.1 by h11, of bounded size and time.

A connection carries one request. There is nothing behind it that could be taken for another one.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import h11

from common.ipc.errors import IpcError, UnreachableError
from core.api.errors import RefusedError
from core.errors import CoreError

HEADER_MAX_BYTES = 16 << 10
BODY_MAX_BYTES = 64 << 10
FIELDS_MAX = 32
CHUNK_BYTES = 1 << 14
REQUEST_S = 10.0
WRITE_S = 30.0  # for a piece of an answer, however small
STATUS_OF = {"unknown": 404, "params": 422}  # anything else: the node refuses
ALWAYS = (("Connection", "close"), ("Cache-Control", "no-store"), ("Server", "zero-os"))


@dataclass(frozen=True)
class Request:
    """What was asked; the query is as it was sent."""

    method: str
    path: str
    query: str
    media: str = ""
    body: bytes = field(default=b"", repr=False)

    def pairs(self) -> list[tuple[str, str]]:
        """Return the query. Raises `RefusedError`."""
        try:
            return parse_qsl(
                self.query,
                keep_blank_values=True,
                strict_parsing=bool(self.query),
                errors="strict",
                max_num_fields=FIELDS_MAX,
            )
        except (ValueError, UnicodeDecodeError) as error:
            raise RefusedError(400, "the query is malformed") from error

    def content(self) -> dict[str, Any]:
        """Return the object in the body, {} if there is no body. Raises `RefusedError`."""
        if not self.body:
            return {}
        if self.media.partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(415, "the body of a call is application/json")
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise RefusedError(400, "the body is not an object in JSON")
        return value


class Exchange:
    """The one request on a connection, and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_MAX_BYTES)
        self.request = Request("", "", "")
        self.is_begun = False

    async def read(self) -> Request:
        """Return the request. Raises `RefusedError`, also for what comes too slowly."""
        try:
            async with asyncio.timeout(REQUEST_S):
                self.request = await self._read_all()
        except TimeoutError as error:
            raise RefusedError(408, f"the request took more than {REQUEST_S:g} seconds") from error
        except h11.RemoteProtocolError as error:
            raise RefusedError(error.error_status_hint, "this is not HTTP as it should be") from (
                error
            )
        return self.request

    async def _read_all(self) -> Request:
        head = await self._event()
        if not isinstance(head, h11.Request):
            raise ConnectionResetError
        # Known from now on, so that a refusal of the rest can be told from others.
        target = head.target.decode("ascii", errors="replace")
        path, _, query = target.partition("?")
        media = dict(head.headers).get(b"content-type", b"").decode("latin-1")
        self.request = Request(head.method.decode("ascii"), path, query, media)
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
            if len(body) > BODY_MAX_BYTES:
                raise RefusedError(413, f"a body has at most {BODY_MAX_BYTES} bytes")
        if not isinstance(event, h11.EndOfMessage):
            raise ConnectionResetError
        return Request(self.request.method, path, query, media, bytes(body))

    async def _event(self) -> Any:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            if self._h11.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._h11.receive_data(await self._reader.read(CHUNK_BYTES))
        return event

    async def gone(self) -> None:
        """Return when the caller has gone. What it still sends is thrown away."""
        while await self._reader.read(CHUNK_BYTES):
            pass

    async def begin(
        self, status: int, media: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Begin the answer."""
        self.is_begun = True
        fields = [("Content-Type", media), *ALWAYS, *headers]
        await self._send(h11.Response(status_code=status, headers=fields))

    async def write(self, data: bytes) -> None:
        """Send a piece of the answer. Raises `OSError`, also if the caller does not take it."""
        if data and self.request.method != "HEAD":
            await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """End the answer."""
        await self._send(h11.EndOfMessage())

    async def answer(
        self, status: int, value: Any, media: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send a whole answer in JSON."""
        data = json.dumps(value).encode() + b"\n"
        await self.begin(status, media, (("Content-Length", str(len(data))), *headers))
        await self.write(data)
        await self.end()

    async def refuse(self, error: RefusedError) -> None:
        """Answer that it is not done, and why (RFC 9457)."""
        fields = {"status": error.status, "detail": error.message, "hint": error.hint}
        await self.answer(error.status, fields, "application/problem+json", error.headers)

    async def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            self._writer.write(data)
            async with asyncio.timeout(WRITE_S):
                await self._writer.drain()


def refusal_of(error: CoreError | IpcError) -> RefusedError:
    """Return the answer to a call that the node refused, or could not carry out."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, UnreachableError):
        return RefusedError(503, error.message, hint=error.hint)
    status = STATUS_OF.get(error.code, 409) if isinstance(error, IpcError) else 500
    return RefusedError(status, error.message, hint=error.hint)
