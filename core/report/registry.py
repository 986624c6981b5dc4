"""The registry's two calls for nodes, over HTTP. Whatever it answers is checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from core.errors import CoreError
from core.report.schedule import INTERVAL_S
from flist.errors import StoreError
from flist.http.origin import PORTS, Origin, Request
from flist.http.patience import Patience

TIMEOUT_S = 30.0
ANSWER_MAX_BYTES = 64 << 10
EXCHANGE_MAX_BYTES = 1 << 20  # with the answer's header
NONCE_MAX_CHARS = 64
CONFLICT = 409
MESSAGE_CHARS = 300
SEQUENCE_MAX = 2**53
NUMBER_MAX = 2.0**53
HEADERS = {"Content-Type": "application/json", "User-Agent": "zero-os"}


class RegistryError(CoreError):
    """A report that did not get there, or was refused; `status` is 0 if there is no answer."""

    def __init__(
        self, message: str, *, hint: str | None = None, status: int = 0, wait_s: float = 0.0
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.wait_s = wait_s


@dataclass(frozen=True)
class Position:
    """What the registry accepted last (no boot if nothing), and the next report's nonce."""

    nonce: str
    boot: str
    sequence: int


@dataclass(frozen=True)
class Reply:
    """The answer to a report: the next one's nonce, when it is wanted, the registry's time."""

    nonce: str
    interval_s: float
    time: float


class Registry:
    """The registry at `url`, reached through `proxy` (host, port) if there is one."""

    def __init__(self, url: str, proxy: tuple[str, int] | None = None) -> None:
        parts = urlsplit(url)
        is_secure = parts.scheme == "https"
        port = parts.port or PORTS[parts.scheme]
        self.url = url
        self._path = parts.path
        self._origin = Origin(parts.hostname or "", port, is_secure=is_secure, proxy=proxy)

    def position(self, node: str, timeout_s: float = TIMEOUT_S) -> Position:
        """Return what the next report must follow. Raises `RegistryError`."""
        answer = self._ask("GET", f"/api/v1/nodes/{node}/nonce", None, timeout_s)
        boot, sequence = answer.get("boot"), answer.get("sequence")
        if not isinstance(sequence, int) or not 0 <= sequence <= SEQUENCE_MAX:
            raise broken()
        if not isinstance(boot, str | None):
            raise broken()
        return Position(nonce_of(answer), boot or "", sequence)

    def send(self, node: str, message: str, timeout_s: float = TIMEOUT_S) -> Reply:
        """Send a report. Raises `RegistryError`; it may have been accepted even so."""
        path = f"/api/v1/nodes/{node}/reports"
        answer = self._ask("POST", path, message.encode(), timeout_s)
        return Reply(
            nonce_of(answer),
            number(answer.get("interval_s"), INTERVAL_S),
            number(answer.get("time"), 0.0),
        )

    def close(self) -> None:
        """Close the connection: the next report is far away."""
        self._origin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: bytes | None, timeout_s: float) -> dict[str, Any]:
        request = Request(method, self._path + path, body, HEADERS)
        try:
            patience = Patience(timeout_s, EXCHANGE_MAX_BYTES)
            with self._origin.open(request, patience) as response:
                data, status = response.read(ANSWER_MAX_BYTES), response.status
                wait_s = seconds(response.header("Retry-After"))
        except StoreError as error:
            raise RegistryError(error.message, hint=error.hint) from error
        answer = parse(data)
        if not 200 <= status < 300:
            raise refusal(status, wait_s, answer)
        if answer is None:
            raise broken()
        return answer


def parse(data: bytes) -> dict[str, Any] | None:
    """Return the object in an answer, None for anything else."""
    if len(data) > ANSWER_MAX_BYTES:
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def refusal(status: int, wait_s: float, answer: dict[str, Any] | None) -> RegistryError:
    """Return the error that an answer is."""
    fields = answer or {}
    words = (fields.get(key) for key in ("detail", "message", "title"))
    told = next((word for word in words if isinstance(word, str)), "it does not say why")
    hint = fields.get("hint")
    return RegistryError(
        f"the registry refuses the report ({status}): {told[:MESSAGE_CHARS]}",
        hint=hint[:MESSAGE_CHARS] if isinstance(hint, str) else None,
        status=status,
        wait_s=wait_s,
    )


def seconds(text: str) -> float:
    """Return how long an answer asks to wait."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0.0


def number(value: Any, default: float) -> float:
    """Return a number of an answer; the default for what is none, or beyond all that is meant."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= NUMBER_MAX else default


def nonce_of(answer: Mapping[str, Any]) -> str:
    """Return the next report's nonce."""
    nonce = answer.get("nonce")
    if not isinstance(nonce, str) or not 0 < len(nonce) <= NONCE_MAX_CHARS:
        raise broken()
    return nonce


def broken() -> RegistryError:
    """Return the error for an answer that is none."""
    return RegistryError(
        "the registry's answer is none: it is not what nodes and registries agreed"
    )
