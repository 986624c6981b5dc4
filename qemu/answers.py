"""Waits for a service behind a forwarded port: until it speaks, not until a connection is made."""

import socket
import time
from collections.abc import Callable

from qemu.errors import MachineEndedError, WaitTimeoutError

TRY_S = 5.0
RETRY_S = 0.2
ANSWER_BYTES = 65536


def wait_for_answer(
    port: int,
    timeout_s: float,
    send: bytes = b"",
    why_ended: Callable[[], str | None] = lambda: None,
) -> bytes:
    """Connect to this host's `port` repeatedly until bytes come; return the first of them."""
    deadline = time.monotonic() + timeout_s
    seen = "nothing was tried"
    while (left_s := deadline - time.monotonic()) > 0:
        reason = why_ended()
        if reason:
            raise MachineEndedError(f"no answer on port {port}: {reason}")
        try:
            said = ask(port, send, min(TRY_S, left_s))
        except OSError as error:
            said, seen = b"", str(error)
        else:
            seen = "the connection was closed without a word"
        if said:
            return said
        time.sleep(RETRY_S)
    raise WaitTimeoutError(f"no answer on port {port} within {timeout_s:g} s; last: {seen}")


def ask(port: int, send: bytes, timeout_s: float) -> bytes:
    """Return the first bytes of one connection; empty if it is closed without any."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as link:
        link.sendall(send)
        return link.recv(ANSWER_BYTES)
