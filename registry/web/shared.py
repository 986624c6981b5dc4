"""What the routes share."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from pydantic import BaseModel, Field

from common.errors import ZosError
from common.nodes.envelope import MAX_BYTES, Envelope, open_envelope
from registry.web.limits import Charge
from serving.bodies import BodyTooLargeError, read_body
from serving.rates import RateLimit, TooManyRequestsError, address_of

NO_CACHE = {"Cache-Control": "no-cache"}
PLAIN = "text/plain; charset=utf-8"
SIZES = {
    "report": (MAX_BYTES, "leave parts of `dmi` out"),
    "farm": (32 << 10, "shorten the description, or use a smaller certificate"),
}
"""How many bytes a message has at most, by its kind, and what to do about more. The log keeps those
of farms for ever."""


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


async def read_message(request: Request, kind: str) -> Envelope:
    """Return the signed message that a request carries.

    Raises `EnvelopeError`, and `BodyTooLargeError`.
    """
    most, hint = SIZES[kind]
    try:
        return open_envelope(await read_body(request, most, is_guest=True), kind)
    except BodyTooLargeError as error:
        error.hint = hint
        raise


def check_patience(request: Request, limit: RateLimit) -> None:
    """Raise `TooManyRequestsError` for a client whose messages were refused too often."""
    wait_s = limit.find_wait(address_of(request))
    if wait_s:
        refuse(request, TooManyRequestsError(wait_s))


def check_charges(request: Request, charges: Sequence[Charge]) -> None:
    """Raise `TooManyRequestsError` unless all limits have what a message takes of them."""
    for charge in charges:
        wait_s = charge.limit.find_wait(charge.whose, charge.amount)
        if wait_s:
            refuse(request, TooManyRequestsError(wait_s, charge.fault, hint=charge.hint))


def spend(charges: Sequence[Charge]) -> None:
    """Take from all limits what a message takes."""
    for charge in charges:
        charge.limit.take(charge.whose, charge.amount)


def give_back(charges: Sequence[Charge]) -> None:
    """Give back to all limits what a message took that is not accepted."""
    for charge in charges:
        charge.limit.put(charge.whose, charge.amount)


def note_refusal(request: Request, limit: RateLimit, error: ZosError) -> None:
    """Count a message that was refused, unless that may be the registry's fault."""
    status = getattr(error, "http_status", 503)
    if status < 500 and status != 429:
        limit.take(address_of(request))


def refuse(request: Request, error: TooManyRequestsError) -> None:
    """Raise an error, and count it."""
    request.app.state.kit.metrics.rejected.labels("rate_limit").inc()
    raise error
