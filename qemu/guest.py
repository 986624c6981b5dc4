"""Words to a running guest, named as in the NixOS test driver, over the agent's port.

A node has no shell: a command is a list of words, or a string that is split like one line of a
shell without any of a shell's meanings.
"""

import base64
import contextlib
import json
import shlex
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qemu.errors import GuestError, MachineEndedError, WaitTimeoutError

Command = str | Sequence[str]
COMMAND_DEADLINE_S = 60.0
REPLY_MARGIN_S = 20.0  # a busy guest's own time to answer
READY_DEADLINE_S = 120.0
PING_AGAIN_S = 2.0
RETRY_S = 0.25
POLL_S = 0.2
EXIT_DEADLINE_S = 5.0


class Completed(NamedTuple):
    """How a program on the guest ended; a negative status is the signal that ended it."""

    status: int
    stdout: str
    stderr: str


class Guest:
    """One conversation with the agent; a request at a time."""

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

    def execute(
        self, command: Command, *, timeout_s: float = COMMAND_DEADLINE_S, stdin: bytes = b""
    ) -> Completed:
        """Run a program on the guest and return how it ended."""
        request = {"do": "execute", "argv": words_of(command), "timeout_s": timeout_s}
        return self._run(request, show(command), timeout_s, stdin)

    def python(self, source: str, *, timeout_s: float = COMMAND_DEADLINE_S) -> str:
        """Run Python on the guest and return what it prints. Raises `GuestError` if it fails."""
        request = {"do": "python", "source": source, "timeout_s": timeout_s}
        done = self._run(request, "python", timeout_s, b"")
        return expect(done, "python", is_success=True)

    def succeed(self, command: Command, *, timeout_s: float = COMMAND_DEADLINE_S) -> str:
        """Run a program that must end with status 0; return its output."""
        return expect(self.execute(command, timeout_s=timeout_s), show(command), is_success=True)

    def fail(self, command: Command, *, timeout_s: float = COMMAND_DEADLINE_S) -> str:
        """Run a program that must end with another status than 0; return its output."""
        return expect(self.execute(command, timeout_s=timeout_s), show(command), is_success=False)

    def wait_until_succeeds(self, command: Command, timeout_s: float) -> str:
        """Run a program again and again until it ends with status 0; return its output."""
        return self._repeat(command, timeout_s, is_success=True)

    def wait_until_fails(self, command: Command, timeout_s: float) -> str:
        """Run a program again and again until it ends with another status; return its output."""
        return self._repeat(command, timeout_s, is_success=False)

    def wait_for_open_port(self, port: int, timeout_s: float, host: str = "127.0.0.1") -> None:
        """Wait until something on the guest accepts connections on `port`."""
        request = {"do": "port", "host": host, "port": port}
        self._poll(lambda: self.ask(request) is True, timeout_s, f"port {port} open")

    def wait_for_closed_port(self, port: int, timeout_s: float, host: str = "127.0.0.1") -> None:
        """Wait until nothing accepts connections on `port` any more."""
        request = {"do": "port", "host": host, "port": port}
        self._poll(lambda: self.ask(request) is False, timeout_s, f"port {port} closed")

    def wait_for_file(self, path: str, timeout_s: float) -> None:
        """Wait until `path` exists."""
        request = {"do": "exists", "path": path}
        self._poll(lambda: self.ask(request) is True, timeout_s, f"file {path}")

    def read_file(self, path: str) -> bytes:
        """Return what the file `path` holds (8 MiB at most)."""
        return base64.b64decode(self.ask({"do": "read", "path": path}))

    def write_file(self, path: str, data: bytes) -> None:
        """Make the file `path` hold `data`."""
        self.ask({"do": "write", "path": path, "data": base64.b64encode(data).decode()})

    def _repeat(self, command: Command, timeout_s: float, *, is_success: bool) -> str:
        done = Completed(0, "", "")

        def is_done() -> bool:
            nonlocal done
            done = self.execute(command, timeout_s=timeout_s)
            return (done.status == 0) is is_success

        wanted = f"{show(command)} {'succeeding' if is_success else 'failing'}"
        self._poll(is_done, timeout_s, wanted, lambda: f"; it ended last {describe(done)}")
        return done.stdout

    def _poll(
        self,
        is_done: Callable[[], bool],
        timeout_s: float,
        wanted: str,
        seen: Callable[[], str] = lambda: "",
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() > deadline:
                raise WaitTimeoutError(f"no {wanted} on the guest within {timeout_s:g} s{seen()}")
            time.sleep(RETRY_S)

    def _run(
        self, request: dict[str, Any], shown: str, timeout_s: float, stdin: bytes
    ) -> Completed:
        request = {**request, "stdin": base64.b64encode(stdin).decode()}
        value = self.ask(request, timeout_s + REPLY_MARGIN_S)
        out, err = (
            base64.b64decode(value[name]).decode(errors="replace") for name in ("stdout", "stderr")
        )
        done = Completed(value["status"], out, err)
        if value["timed_out"]:
            raise WaitTimeoutError(f"{shown} did not end within {timeout_s:g} s, {describe(done)}")
        return done

    def ask(self, request: dict[str, Any], timeout_s: float = COMMAND_DEADLINE_S) -> Any:
        """Send one request to the agent and return the value of its reply."""
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
        """Send all of `data`, in pieces: nothing is taken before a program on the guest listens."""
        view = memoryview(data)
        while view:
            self._check(deadline, "take a request")
            self._link.settimeout(POLL_S)
            try:
                view = view[self._link.send(view) :]
            except TimeoutError:
                continue  # all that was asked before still waits: the guest is slow to come up
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
        """Return why the port has closed; QEMU's own end may be told a moment later."""
        deadline = time.monotonic() + EXIT_DEADLINE_S
        while not (reason := self._why_ended()) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return MachineEndedError(f"the guest has gone: {reason or 'its port was closed'}")


def parse(line: bytes) -> dict[str, Any]:
    """Return the message in `line`; what a crash left half-written is no message."""
    with contextlib.suppress(ValueError):
        message = json.loads(line)
        if isinstance(message, dict):
            return message
    return {}


def value_of(message: dict[str, Any], what: str) -> Any:
    """Return a reply's value. Raises `GuestError` for an error."""
    if "error" in message:
        raise GuestError(f"{what} failed on the guest: {message['error']}")
    return message.get("value")


def words_of(command: Command) -> list[str]:
    """Return the words of a command."""
    return shlex.split(command) if isinstance(command, str) else list(command)


def show(command: Command) -> str:
    """Return a command as it is shown in a message."""
    return command if isinstance(command, str) else shlex.join(command)


def describe(done: Completed) -> str:
    """Return how a program ended and the end of what it said."""
    said = (done.stderr.strip() or done.stdout.strip())[-2000:]
    return f"with status {done.status}" + (f": {said}" if said else "")


def expect(done: Completed, shown: str, *, is_success: bool) -> str:
    """Return the output of a program that ended as it should. Raises `GuestError` otherwise."""
    if (done.status == 0) is not is_success:
        raise GuestError(f"{shown} ended {describe(done)}")
    return done.stdout
