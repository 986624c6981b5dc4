"""The processes that a process has started."""

import contextlib
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return the children of a process, also those that have ended and were not waited for."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found += map(int, (task / "children").read_text().split())
    return sorted(found)
