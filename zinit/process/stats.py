"""Memory and CPU use of a service and its descendants, read from /proc."""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

FRESH_S = 0.2  # how long the table of parents is used: requests often come together
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PARENT, UTIME, STIME, START, RSS = (
    1,
    11,
    12,
    19,
    21,
)  # indexes into the fields of stat after the command


def read_stat(pid: int) -> list[int]:
    """Return the fields of /proc/PID/stat from the state (given as 0) on; raises OSError."""
    with open(f"/proc/{pid}/stat", "rb") as stream:
        text = stream.read(4096)
    words = text.rpartition(b")")[2].split()
    return [0, *(int(word) for word in words[1:])]


def describe_process(pid: int) -> "dict[str, object]":
    """Return pid, memory in bytes, and CPU use in percent since the process started."""
    stat = read_stat(pid)
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - stat[START] / TICKS
    used_s = (stat[UTIME] + stat[STIME]) / TICKS
    return {
        "pid": pid,
        "memory_usage": stat[RSS] * PAGE,
        "cpu_usage": round(100 * used_s / max(age_s, 1 / TICKS), 3),
    }


class Processes:
    """The processes of the machine by parent, read in steps: there may be tens of thousands."""

    def __init__(self) -> None:
        self._children: dict[int, list[int]] = {}
        self._read_at = -FRESH_S

    def describe(self, pid: int) -> "Generator[None, None, dict[str, object]]":
        """Return the use of a process, with that of its descendants under `children`."""
        if time.monotonic() - self._read_at >= FRESH_S:
            yield from self._read()
        try:
            own = describe_process(pid)
        except OSError:  # the process has just ended
            own = {"pid": pid, "memory_usage": 0, "cpu_usage": 0.0}
        below = []
        for child in self._find_descendants(pid):
            try:
                below.append(describe_process(child))
            except OSError:
                continue
            yield
        return {**own, "children": below}

    def _read(self) -> "Iterator[None]":
        children: dict[int, list[int]] = {}
        for name in os.listdir("/proc"):
            if name.isdecimal():
                try:
                    children.setdefault(read_stat(int(name))[PARENT], []).append(int(name))
                except (OSError, IndexError):
                    continue
                yield
        self._children = children
        self._read_at = time.monotonic()

    def _find_descendants(self, top: int) -> list[int]:
        """Return the pids of all descendants of `top`."""
        found: dict[int, None] = {top: None}
        todo = [top]
        while todo:
            below = self._children.get(todo.pop(), [])
            todo += [pid for pid in below if pid not in found]  # a reused pid could make a cycle
            found.update(dict.fromkeys(below))
        del found[top]
        return list(found)
