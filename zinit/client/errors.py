"""The errors of talking to a daemon, in either protocol."""

import time

from common.errors import ZosError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_S = 30.0
REPLY_MAX_BYTES = 64 << 20  # the daemon queues no more for all of its clients


class ZinitError(ZosError):
    """zinit refused a command; the message is zinit's own."""


class NoAnswerError(ZinitError):
    """zinit closed the connection before it answered."""


def misunderstand(answer: object) -> ZinitError:
    """Return the error for an answer that zinit does not give."""
    return ZinitError(
        f"cannot understand zinit's answer: {str(answer)[:80]}",
        hint="does another version, or another program, answer there?",
    )


def fail_to_talk(path: str, error: OSError) -> ZinitError:
    """Return the error for a daemon that cannot be reached."""
    return ZinitError(
        f"cannot talk to zinit on {path}: {error.strerror or error}",
        hint="is it running? -s names another socket",
    )


def collect(parts: "Iterable[bytes]", timeout_s: float | None) -> bytes:
    """Return the parts of a reply joined; raises `ZinitError` for one that does not end.

    That is what another program may send, at once or byte by byte.
    """
    until = None if timeout_s is None else time.monotonic() + timeout_s
    reply = bytearray()
    for part in parts:
        reply += part
        if len(reply) > REPLY_MAX_BYTES or (until is not None and time.monotonic() > until):
            raise misunderstand(reply[:80].decode(errors="replace"))
    return bytes(reply)
