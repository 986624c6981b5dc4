"""One command of the table."""

from collections.abc import Callable
from typing import Any

from zdb.errors import RefusedError
from zdb.protocol.requests import Request

UNEXPECTED = "Unexpected arguments"
INVALID = "Invalid arguments"
MISSING = "Missing arguments"
ANY = 1024

Handler = Callable[[Any, Any, Request], bytes | None]
"""Takes the service, the client and the request; returns the reply, None if it comes later."""


class Command:
    """A command: its function, how many arguments it takes, and who may use it."""

    __slots__ = ("calls", "high", "is_admin", "low", "name", "refusal", "run")

    def __init__(
        self,
        name: bytes,
        run: Handler,
        *,
        arguments: tuple[int, int] = (0, ANY),
        refusal: str = UNEXPECTED,
        is_admin: bool = False,
    ) -> None:
        self.name = name
        self.run = run
        self.low, self.high = arguments[0] + 1, arguments[1] + 1  # with the name
        self.refusal = refusal
        self.is_admin = is_admin
        self.calls = 0


def need_values(request: Request) -> None:
    """Raise if an argument is empty."""
    if b"" in request:
        raise RefusedError("Invalid argument")
