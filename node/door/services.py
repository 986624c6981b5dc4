"""The node's services as the door shows them: their list, their log, their restart."""

import contextlib
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from common.ipc.errors import IpcError
from common.ipc.server import Peer
from zinit.client.line import Client

LINES_MAX = 2000  # as many as zinit keeps
SETTLE_S = 0.5
QUIET_S = 5.0
MARK = re.compile(r"\[[+-]\] ([^:]*): (.*)", re.DOTALL)
NODE = "node"

Row = dict[str, object]


class Services:
    """Services of the node; `role_of` says which flist one is from."""

    def __init__(self, client: Client, role_of: Callable[[str], str]) -> None:
        self.client = client
        self.role_of = role_of

    def list(self, _: Peer) -> list[Row]:
        """Return all services."""
        return [self.describe(name, state) for name, state in self.client.list().items()]

    def describe(self, name: str, state: str) -> Row:
        """Return one service."""
        pid = int(str(self.client.status(name)["pid"]))
        row: Row = {"name": name, "state": state, "pid": pid, "role": self.role_of(name)}
        return row | {"uptime_s": uptime_of(pid) if pid else None}

    def logs(
        self, _: Peer, name: str | None = None, follow: bool = False, lines: int = 100
    ) -> Iterator[Row]:
        """Yield the last lines of a service or of all; with `follow`, go on with new ones.

        Lines that were there before have no time. While there are no new lines, an empty one with
        no name comes every `QUIET_S`, so that either side notices when the other has gone.
        """
        if type(lines) is not int or not 0 <= lines <= LINES_MAX:
            raise IpcError(f"lines must be from 0 to {LINES_MAX}", code="params")
        if not isinstance(name, str | None) or not isinstance(follow, bool):
            raise IpcError("name must be a text and follow true or false", code="params")
        batches = self.client.follow_log(SETTLE_S)
        yield from read_history(batches, name, lines)
        if follow:
            yield from read_news(batches, name)

    def restart(self, _: Peer, name: str) -> Row:
        """Restart a service of a flist; those of the node itself stay."""
        if name not in self.client.list():
            raise IpcError(f"there is no service {name[:80]!r}", code="unknown")
        if self.role_of(name) == NODE:
            raise IpcError(
                f"cannot restart {name}: everything else on the node depends on it",
                hint="reboot the node",
                code="refused",
            )
        self.client.restart(name)
        return {}


def read_history(batches: Iterator[tuple[str, ...]], name: str | None, count: int) -> deque[Row]:
    """Return the last lines of what the log holds: it comes at once, and then there is a pause."""
    found: deque[Row] = deque(maxlen=count)
    seen = 0
    while seen < LINES_MAX and (batch := next(batches, ())):
        found.extend(row for line in batch if (row := parse_line(line, name)))
        seen += len(batch)
    return found


def read_news(batches: Iterator[tuple[str, ...]], name: str | None) -> Iterator[Row]:
    """Yield new lines with the time of their arrival."""
    told = time.monotonic()
    for batch in batches:
        now = time.time()
        rows = [row | {"time": now} for line in batch if (row := parse_line(line, name))]
        if not rows and time.monotonic() > told + QUIET_S:
            rows = [{"time": now, "name": "", "text": ""}]
        if rows:
            told = time.monotonic()
        yield from rows


def parse_line(line: str, wanted: str | None) -> Row | None:
    """Return a line of zinit's log, None for one of another service than `wanted`."""
    found = MARK.fullmatch(line)
    name, text = found.groups() if found else ("", line)
    return {"time": None, "name": name, "text": text} if wanted in (None, name) else None


def uptime_of(pid: int) -> float | None:
    """Return for how many seconds a process has run (proc_pid_stat(5), field 22)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return round(time.clock_gettime(time.CLOCK_BOOTTIME) - began, 1)
    return None
