"""The middleware around one application: request id, log line, metrics, unexpected errors.

What an answer does not say about caches, none may keep: it may be for this client only, or an error
that is soon over.
"""

import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.metrics import UNMATCHED
from serving.problems import Problem, render
from serving.respond import ZERO_COPY

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
PATH_MAX_CHARS = 500
CACHES = b"cache-control"
CLIENT_GONE = 499
"""The status in log and metrics if the client disconnected before the response began."""
QUIET = ("/health", "/ready", "/metrics")
"""Monitoring asks for these all the time, so they are logged on level debug."""


@dataclass(slots=True)
class Exchange:
    """What is known of one request while it is answered; `route` is the template of its route."""

    client: str
    method: str
    path: str
    request_id: str
    route: str = UNMATCHED
    began: float = field(default_factory=time.monotonic)
    status: int = 0
    sent_bytes: int = 0
    is_complete: bool = False


class RequestMiddleware:
    """Serves one application; `kit` holds what its requests share."""

    def __init__(self, app: ASGIApp, kit: Any) -> None:
        self.app = app
        self.kit = kit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and record how that went."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        client, path = scope.get("client"), scope["path"]
        exchange = Exchange(client[0] if client else "", scope["method"], path, choose_id(scope))
        state = scope.setdefault("state", {})
        connection = state.get("connection")

        async def noted_send(message: Message) -> None:
            if connection is not None and connection.is_gone:
                raise ClientDisconnect
            self.note(exchange, message)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            self.kit.metrics.in_flight.inc()
            try:
                await self.answer(exchange, scope, receive, noted_send)
            finally:
                self.kit.metrics.in_flight.dec()
                self.kit.bodies.give_back(state)
                exchange.route = find_route(scope)
                record(self.kit, exchange)

    async def answer(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; an unexpected error is logged once and answered with 500."""
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            pass
        except Exception as error:
            self.kit.log.error("unexpected error", exc_info=error, route=find_route(scope))
            if not exchange.status:
                hint = f"the server's log has it under request id {exchange.request_id}"
                await render(Problem(500, "an internal error", hint))(scope, receive, send)

    def note(self, exchange: Exchange, message: Message) -> None:
        """Note what is about to be sent, and complete the head."""
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            said = list(message.get("headers", ()))
            if all(name != CACHES for name, _ in said):
                said.append((CACHES, b"no-store"))
            message["headers"] = [*said, (b"x-request-id", exchange.request_id.encode())]
        elif message["type"] == "http.response.body":
            exchange.sent_bytes += len(message.get("body", b""))
            exchange.is_complete = not message.get("more_body", False)
        elif message["type"] == ZERO_COPY:
            exchange.sent_bytes += message["count"]


def find_route(scope: Scope) -> str:
    """Return the template of the route, for example `/blocks/{name}`."""
    return getattr(scope.get("route"), "path", None) or UNMATCHED


def record(kit: Any, exchange: Exchange) -> None:
    """Write the log line and the metrics of a request that is over."""
    took_s = time.monotonic() - exchange.began
    status = exchange.status or CLIENT_GONE
    kit.metrics.note(exchange.route, exchange.method, status, took_s)
    kit.metrics.sent.labels(exchange.route).inc(exchange.sent_bytes)
    log = kit.log.debug if exchange.path in QUIET else kit.log.info
    log(
        "request",
        client=exchange.client,
        method=exchange.method,
        path=exchange.path[:PATH_MAX_CHARS],
        route=exchange.route,
        status=status,
        bytes=exchange.sent_bytes,
        duration=round(took_s, 6),
        request_id=exchange.request_id,
        **({} if exchange.is_complete else {"aborted": True}),
    )


def choose_id(scope: Scope) -> str:
    """Return the client's X-Request-ID if it is a valid one, else a new id."""
    values = (value for name, value in scope["headers"] if name == b"x-request-id")
    return next((text for v in values if (text := accept_id(v.decode("latin-1")))), make_id())


def accept_id(text: str) -> str | None:
    """Return a client's X-Request-ID, or None unless it is a valid one."""
    return text if REQUEST_ID.fullmatch(text) else None


def make_id() -> str:
    """Return a new request id."""
    return uuid.uuid4().hex
