"""How long to pause between two tries: growing, varied, and at least what the server asks for."""

import socket

from flist.errors import StoreUnavailableError

SPREAD = 0.3


class Backoff:
    """Pauses that double from `first_s` up to `longest_s`.

    Each varies by up to 30 %: clients that wait for the same server must not all return at once.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self.pause_s = first_s
        self.longest_s = longest_s

    def next_s(self, least_s: float = 0.0) -> float:
        """Return the next pause: at least `least_s`, but never much longer than `longest_s`."""
        import random

        varied_s = self.pause_s * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311
        self.pause_s = min(self.pause_s * 2, self.longest_s)
        return max(varied_s, min(least_s, self.longest_s))


def read_retry_after(text: str) -> float:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3); 0 for a date."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def is_final(error: StoreUnavailableError) -> bool:
    """Return whether trying again at once is pointless: TLS failed, or the name is unknown."""
    import ssl  # only after a failure: it takes as long as a small pack

    return isinstance(error.__cause__, (ssl.SSLError, socket.gaierror))
