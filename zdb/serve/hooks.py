"""The operator's program, run at events.

It is started by a helper process, for starting one from here would stop the loop while the program
is read from its disk. Both ends of the pipes hold a JSON object a line. Events, and what they are
called, are upstream's: `libzdb/hook.c` of threefoldtech/0-db 2.0.7.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from zdb.commands.service import Hooks
from zdb.errors import SettingsError
from zdb.protocol import replies

KEPT_S = 60.0
MAX_KEPT = 1000
READ_BYTES = 1 << 16


@dataclass
class Call:
    """One run of the program."""

    name: str
    arguments: list[str]
    created: int = field(default_factory=lambda: int(time.time()))
    pid: int = 0
    finished: int = 0
    status: int = 0

    def reply(self) -> bytes:
        """Return the call as HOOKS lists it."""
        numbers = (self.pid, self.created, self.finished, self.status)
        words = replies.array(map(replies.text, self.arguments))
        return replies.array((replies.text(self.name), words, *map(replies.number, numbers)))


class Program(Hooks):
    """A program, and its helper process."""

    def __init__(self, program: Path, timeout_s: float, log: Callable[[str], None]) -> None:
        self.program = program
        self.timeout_s = timeout_s
        self.log = log
        self.calls: dict[int, Call] = {}
        self._next = 0
        self._rest = b""
        self._helper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the helper."""
        if not os.access(self.program, os.X_OK):
            raise SettingsError(
                f"cannot use hook {self.program}: not an executable file", hint="chmod +x it"
            )
        command = [sys.executable, "-m", "zdb.serve.hookrunner", str(self.program)]
        self._helper = subprocess.Popen(
            [*command, str(self.timeout_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the server's business
        )
        assert self._helper.stdin and self._helper.stdout
        os.set_blocking(self._helper.stdin.fileno(), False)
        os.set_blocking(self._helper.stdout.fileno(), False)

    @property
    def output(self) -> int:
        """Return the descriptor on which the helper reports."""
        assert self._helper and self._helper.stdout
        return self._helper.stdout.fileno()

    def fire(self, name: str, *arguments: str) -> None:
        """Run the program with the name of an event and its arguments; wait for nothing."""
        self._forget()
        call, number = Call(name, list(arguments)), self._next
        self._next += 1
        line = json.dumps({"call": number, "words": [name, *arguments]}).encode() + b"\n"
        try:
            assert self._helper and self._helper.stdin
            if len(line) > select.PIPE_BUF or os.write(self._helper.stdin.fileno(), line) == 0:
                raise BlockingIOError
        except OSError:
            self.log(f"hook {name} is left out: too many are waiting, or their helper has ended")
            return
        self.calls[number] = call

    def fire_and_wait(self, name: str, *arguments: str) -> None:
        """Run the program and wait for its end, or for its deadline."""
        self.fire(name, *arguments)
        call = self.calls.get(self._next - 1)
        deadline = time.monotonic() + self.timeout_s + 1
        while call and not call.finished and (left := deadline - time.monotonic()) > 0:
            assert self._helper and self._helper.stdout
            if not select.select([self._helper.stdout], [], [], left)[0] or not self.read():
                break

    def read(self) -> bool:
        """Take what the helper reports; return False if it has ended."""
        assert self._helper and self._helper.stdout
        try:
            data = os.read(self._helper.stdout.fileno(), READ_BYTES)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            seen = json.loads(line)
            call = self.calls.get(seen["call"])
            if call is not None:
                call.pid = seen["pid"]
                call.status = seen.get("status", 0)
                call.finished = seen.get("finished", 0)
                if seen.get("error"):
                    self.log(f"hook {call.name}: {seen['error']}")
        return bool(data)

    def listing(self) -> list[bytes]:
        """Return the calls that run, or ended in the last minute."""
        self._forget()
        return [call.reply() for call in self.calls.values()]

    def stop(self) -> None:
        """Let the helper end after the calls that it has; the deadline of each stays."""
        if self._helper:
            for pipe in (self._helper.stdin, self._helper.stdout):
                assert pipe
                with contextlib.suppress(OSError):
                    pipe.close()

    def _forget(self) -> None:
        oldest = time.time() - KEPT_S
        for number, call in list(self.calls.items()):
            if 0 < call.finished < oldest or len(self.calls) > MAX_KEPT:
                del self.calls[number]
