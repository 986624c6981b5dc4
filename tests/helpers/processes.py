"""The state and the children of processes, from /proc."""

import contextlib
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return a process's children, zombies included; none if the process is gone."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
                found += map(int, (task / "children").read_text().split())
    return sorted(found)


def process_state(pid: int) -> str:
    """Return a process's state letter (proc_pid_stat(5)), or "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    return process_state(pid) not in ("", "Z")
