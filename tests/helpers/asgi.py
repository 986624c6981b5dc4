"""Requests to an ASGI application in this process, fast enough for tens of thousands."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()


def ask(app: ASGIApp, target: str, *, method: str = "GET", **headers: str) -> Answer:
    """Send one request for `target`, verbatim; `_` in a header's name stands for `-`."""
    return ask_all(app, [target], method=method, **headers)[0]


def ask_all(
    app: ASGIApp, targets: Iterable[str], *, method: str = "GET", **headers: str
) -> list[Answer]:
    """Send requests one after another."""

    async def run() -> list[Answer]:
        return [await _ask(app, target, method, headers) for target in targets]

    return asyncio.run(run())


def send_body(
    app: ASGIApp, method: str, target: str, body: bytes, headers: Mapping[str, str]
) -> Answer:
    """Send one request with a body."""
    return asyncio.run(_ask(app, target, method, headers, body))


def send_together(
    app: ASGIApp, requests: Iterable[tuple[str, bytes, Mapping[str, str]]]
) -> list[Answer]:
    """Send POST requests (target, body, headers) at the same time."""

    async def run() -> list[Answer]:
        return await asyncio.gather(
            *(_ask(app, target, "POST", headers, body) for target, body, headers in requests)
        )

    return asyncio.run(run())


async def _ask(
    app: ASGIApp, target: str, method: str, headers: Mapping[str, str], body: bytes = b""
) -> Answer:
    """Build the scope as uvicorn does, and collect the response."""
    raw, _, query = target.partition("?")
    pairs = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "server": ("testserver", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "path": unquote(raw),
        "raw_path": raw.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": pairs if "host" in headers else [(b"host", b"evil.example"), *pairs],
    }
    sent: list[Any] = []

    bodies = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not bodies:
            await asyncio.Future()  # the client stays until it is answered
        return bodies.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head = {key.decode().lower(): value.decode() for key, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], head, b"".join(part.get("body", b"") for part in sent[1:]))
