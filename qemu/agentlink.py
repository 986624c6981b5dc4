"""Requests to the guest's agent over its port; the wire format is described in agent.py."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from qemu.errors import GuestError, MachineEndedError, WaitTimeoutError

READY_DEADLINE_S = 120.0
PING_AGAIN_S = 2.0
POLL_S = 0.2
EXIT_DEADLINE_S = 5.0


class AgentLink:
    """A connection to the agent; one request at a time."""

    def __init__(
        self, link: socket.socket, why_ended: Callable[[], str | None] = lambda: None
    ) -> None:
        self._link = link
        self._why_ended = why_ended
        self._lock = threading.Lock()
        self._rest = b""
        self._number = 0
        self._is_ready = False

    def wait_until_ready(self, timeout_s: float = READY_DEADLINE_S) -> None:
        """Wait until the agent answers."""
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = deadline - time.monotonic()
            try:
                self._ask({"do": "ping"}, min(PING_AGAIN_S, max(left_s, 0.1)))
                self._is_ready = True
                return
            except (WaitTimeoutError, GuestError):
                if time.monotonic() > deadline:
                    raise WaitTimeoutError(
                        f"the guest's agent did not answer within {timeout_s:g} s"
                    ) from None

    def ask(self, request: dict[str, Any], timeout_s: float) -> Any:
        """Send one request and return the value of its reply; wait first until it is ready."""
        if not self._is_ready:
            self.wait_until_ready()
        return self._ask(request, timeout_s)

    def _ask(self, request: dict[str, Any], timeout_s: float) -> Any:
        with self._lock:
            self._number += 1
            line = json.dumps({"id": self._number, **request}).encode() + b"\n"
            deadline = time.monotonic() + timeout_s
            self._send(line, deadline)
            return self._await_reply(self._number, deadline, str(request["do"]))

    def _send(self, data: bytes, deadline: float) -> None:
        """Send all of `data`, in pieces: the port takes little until the agent reads from it."""
        view = memoryview(data)
        while view:
            self._check(deadline, "take a request")
            self._link.settimeout(POLL_S)
            try:
                view = view[self._link.send(view) :]
            except TimeoutError:
                continue  # earlier requests fill the port: the guest is still booting
            except OSError as error:
                raise self._gone() from error

    def _await_reply(self, number: int, deadline: float, what: str) -> Any:
        while True:
            *lines, self._rest = self._rest.split(b"\n")
            for index, line in enumerate(lines):
                message = parse(line)
                if message.get("id") == number:
                    self._rest = b"\n".join([*lines[index + 1 :], self._rest])
                    return value_of(message, what)
                if "hello" in message and self._is_ready:
                    raise GuestError(f"the guest's agent was restarted during {what}")
            self._check(deadline, f"answer {what}")
            self._link.settimeout(POLL_S)
            with contextlib.suppress(TimeoutError):
                data = self._link.recv(65536)
                if not data:
                    raise self._gone()
                self._rest += data

    def _check(self, deadline: float, what: str) -> None:
        reason = self._why_ended()
        if reason:
            raise MachineEndedError(f"the guest can't {what}: {reason}")
        if time.monotonic() > deadline:
            raise WaitTimeoutError(f"the guest did not {what} in time")

    def _gone(self) -> MachineEndedError:
        """Return why the port has closed; QEMU's exit may become known a moment later."""
        deadline = time.monotonic() + EXIT_DEADLINE_S
        while not (reason := self._why_ended()) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return MachineEndedError(f"the guest has gone: {reason or 'its port was closed'}")


def parse(line: bytes) -> dict[str, Any]:
    """Return the message in `line`; {} for a line that a crash cut short."""
    with contextlib.suppress(ValueError):
        message = json.loads(line)
        if isinstance(message, dict):
            return message
    return {}


def value_of(message: dict[str, Any], what: str) -> Any:
    """Return a reply's value. Raises `GuestError` for an error reply."""
    if "error" in message:
        raise GuestError(f"{what} failed on the guest: {message['error']}")
    return message.get("value")
