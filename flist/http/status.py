"""What the status of an HTTP answer means: an absence, a refusal, or an outage that may pass."""

import json

from common.text import printable
from flist.errors import StoreError, StoreUnavailableError

DONE = (200, 201)
DENIED = (401, 403)
NOT_FOUND = (404, 410)
NO_SUCH_METHOD = 405
BUSY = (408, 425, 429)
"""These mean "later", and so does every 5xx."""
REASON_CHARS = 500


def is_later(status: int) -> bool:
    """Return whether the same request may succeed later."""
    return status >= 500 or status in BUSY


def refusal(status: int, url: str) -> StoreError:
    """Return the error for a status that is neither success nor absence."""
    kind = StoreUnavailableError if is_later(status) else StoreError
    return kind(f"cannot read from {url}: it answered {status}")


def write_refusal(status: int, url: str, answer: bytes = b"") -> StoreError:
    """Return the error for a server that did not accept what was sent, with the words that its
    answer has for it."""
    words = read_reason(answer)
    said = f"{status}: {words}" if words else f"{status}"
    if status in DENIED:
        return StoreError(
            f"cannot write to {url}: it refused the token ({said})",
            hint="--token, $RFS_TOKEN, `login`, or ?token= in the URL of a store",
        )
    if status in (*NOT_FOUND, NO_SUCH_METHOD):
        return StoreError(
            f"cannot write to {url}: nothing there takes that ({said})",
            hint="a hub takes something only after `zos hub init`; or the address is wrong",
        )
    kind = StoreUnavailableError if is_later(status) else StoreError
    return kind(f"cannot write to {url}: it answered {said}")


def read_reason(answer: bytes) -> str:
    """Return what a server's JSON says of an error, as one line for a terminal; "" for nothing."""
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    words = (said.get("message") or said.get("detail")) if isinstance(said, dict) else None
    return printable(words[:REASON_CHARS]) if isinstance(words, str) else ""
