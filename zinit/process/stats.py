"""Memory and CPU use of a service and its descendants, read from /proc."""

import os
import time

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


def find_descendants(top: int) -> list[int]:
    """Return the pids of all descendants of `top`."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                children.setdefault(read_stat(int(name))[PARENT], []).append(int(name))
            except (OSError, IndexError):
                continue
    found: list[int] = []
    todo = [top]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def describe(pid: int) -> "dict[str, object]":
    """Return the use of a process, with that of its descendants under `children`."""
    try:
        own = describe_process(pid)
    except OSError:  # the process has just ended
        own = {"pid": pid, "memory_usage": 0, "cpu_usage": 0.0}
    below = []
    for child in find_descendants(pid):
        try:
            below.append(describe_process(child))
        except OSError:
            continue
    return {**own, "children": below}
