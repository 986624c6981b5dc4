"""What the routes share."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from common.errors import ZosError
from common.nodes.envelope import MAX_BYTES, Envelope, open_envelope
from serving.bodies import read_body
from serving.rates import RateLimit, TooManyRequestsError

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
NO_CACHE = {"Cache-Control": "no-cache"}
PLAIN = "text/plain; charset=utf-8"


class Message(BaseModel):
    """A signed message; each field is base64."""

    payload: str = Field(description="the bytes of a JSON object")
    key: str = Field(description="the Ed25519 public key that signed it")
    signature: str = Field(description="of `Zero-OS KIND`, a zero byte, and the payload")


MESSAGE: dict[str, Any] = {
    "requestBody": {
        "content": {"application/json": {"schema": Message.model_json_schema()}},
        "required": True,
    }
}
"""What a description says of a body that is a signed message."""


def reading(router: APIRouter, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
    """Register a function for GET and HEAD of `path`, which are described once."""

    def register(endpoint: Endpoint) -> Endpoint:
        router.head(path, **{**options, "include_in_schema": False})(endpoint)
        return router.get(path, **options)(endpoint)

    return register


async def read_message(request: Request, kind: str) -> Envelope:
    """Return the signed message that a request carries. Raises `EnvelopeError`."""
    return open_envelope(await read_body(request, MAX_BYTES, is_guest=True), kind)


def client_of(request: Request) -> str:
    """Return the client's address."""
    return request.client.host if request.client else ""


def check_patience(request: Request, limit: RateLimit) -> None:
    """Raise `TooManyRequestsError` for a client whose messages were refused too often."""
    tokens = limit.count(client_of(request))
    if limit.rate > 0 and tokens < 1:
        refuse(request, (1 - tokens) / limit.rate)


def note_refusal(request: Request, limit: RateLimit, error: ZosError) -> None:
    """Count a message that was refused, unless that may be the registry's fault."""
    status = getattr(error, "http_status", 503)
    if status < 500 and status != 429:
        limit.take(client_of(request))


def refuse(request: Request, wait_s: float, whose: str = "from this address") -> None:
    """Raise `TooManyRequestsError`, and count it."""
    request.app.state.kit.metrics.rejected.labels("rate_limit").inc()
    raise TooManyRequestsError(wait_s, whose)
