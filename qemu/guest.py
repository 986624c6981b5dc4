"""Commands for a running guest, named as in the NixOS test driver, carried out by its agent.

A node has no shell. A command is a list of words, or a string that is split into words as a shell
would, without any expansion.
"""

import base64
import shlex
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qemu.agentlink import READY_DEADLINE_S, AgentLink
from qemu.errors import GuestError, WaitTimeoutError

Command = str | Sequence[str]
COMMAND_DEADLINE_S = 60.0
REPLY_MARGIN_S = 20.0  # for a busy guest to report that a command has ended
RETRY_S = 0.25


class Completed(NamedTuple):
    """How a program on the guest ended; a negative status is the signal that killed it."""

    status: int
    stdout: str
    stderr: str


class Guest:
    """The commands that a test gives to a guest."""

    def __init__(self, link: AgentLink) -> None:
        self._link = link

    def wait_until_ready(self, timeout_s: float = READY_DEADLINE_S) -> None:
        """Wait until the agent answers."""
        self._link.wait_until_ready(timeout_s)

    def execute(
        self, command: Command, *, timeout_s: float = COMMAND_DEADLINE_S, stdin: bytes = b""
    ) -> Completed:
        """Run a program on the guest and return how it ended."""
        request = {"do": "execute", "argv": words_of(command), "timeout_s": timeout_s}
        return self._run(request, show(command), timeout_s, stdin)

    def python(self, source: str, *, timeout_s: float = COMMAND_DEADLINE_S) -> str:
        """Run Python on the guest and return its stdout. Raises `GuestError` if it fails."""
        request = {"do": "python", "source": source, "timeout_s": timeout_s}
        done = self._run(request, "python", timeout_s, b"")
        return expect(done, "python", is_success=True)

    def succeed(self, command: Command, *, timeout_s: float = COMMAND_DEADLINE_S) -> str:
        """Run a program that must exit with status 0; return its stdout."""
        return expect(self.execute(command, timeout_s=timeout_s), show(command), is_success=True)

    def fail(self, command: Command, *, timeout_s: float = COMMAND_DEADLINE_S) -> str:
        """Run a program that must not exit with status 0; return its stdout."""
        return expect(self.execute(command, timeout_s=timeout_s), show(command), is_success=False)

    def wait_until_succeeds(self, command: Command, timeout_s: float) -> str:
        """Run a program repeatedly until it exits with status 0; return its stdout."""
        return self._repeat(command, timeout_s, is_success=True)

    def wait_until_fails(self, command: Command, timeout_s: float) -> str:
        """Run a program repeatedly until it exits with another status; return its stdout."""
        return self._repeat(command, timeout_s, is_success=False)

    def wait_for_open_port(self, port: int, timeout_s: float, host: str = "127.0.0.1") -> None:
        """Wait until `port` on the guest accepts connections."""
        request = {"do": "port", "host": host, "port": port}
        self._poll(lambda: self.ask(request) is True, timeout_s, f"port {port} open")

    def wait_for_closed_port(self, port: int, timeout_s: float, host: str = "127.0.0.1") -> None:
        """Wait until `port` on the guest accepts no connections."""
        request = {"do": "port", "host": host, "port": port}
        self._poll(lambda: self.ask(request) is False, timeout_s, f"port {port} closed")

    def wait_for_file(self, path: str, timeout_s: float) -> None:
        """Wait until `path` exists."""
        request = {"do": "exists", "path": path}
        self._poll(lambda: self.ask(request) is True, timeout_s, f"file {path}")

    def read_file(self, path: str) -> bytes:
        """Return the content of the file `path`, at most 8 MiB."""
        return base64.b64decode(self.ask({"do": "read", "path": path}))

    def write_file(self, path: str, data: bytes) -> None:
        """Replace the content of the file `path`."""
        self.ask({"do": "write", "path": path, "data": base64.b64encode(data).decode()})

    def ask(self, request: dict[str, Any], timeout_s: float = COMMAND_DEADLINE_S) -> Any:
        """Send one request to the agent and return the value of its reply."""
        return self._link.ask(request, timeout_s)

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


def words_of(command: Command) -> list[str]:
    """Return the words of a command."""
    return shlex.split(command) if isinstance(command, str) else list(command)


def show(command: Command) -> str:
    """Return a command as it is shown in a message."""
    return command if isinstance(command, str) else shlex.join(command)


def describe(done: Completed) -> str:
    """Return a program's status and the end of its output, for a message."""
    said = (done.stderr.strip() or done.stdout.strip())[-2000:]
    return f"with status {done.status}" + (f": {said}" if said else "")


def expect(done: Completed, shown: str, *, is_success: bool) -> str:
    """Return a program's stdout. Raises `GuestError` if it ended otherwise than expected."""
    if (done.status == 0) is not is_success:
        raise GuestError(f"{shown} ended {describe(done)}")
    return done.stdout
