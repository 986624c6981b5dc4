"""What a store is told when it is made."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zdb.values import DEFAULT_FILE_SIZE, USER

ALWAYS = "always"
INTERVAL = "interval"
NEVER = "never"
POLICIES = (ALWAYS, INTERVAL, NEVER)


def no_log(text: str) -> None:
    """Drop a line of the log."""


@dataclass(frozen=True)
class StoreSettings:
    """How a store works.

    `sync` says when data is made to survive a power failure: `always`, before a commit returns;
    `interval`, every `sync_s` seconds; `never`, when the kernel does it, and at each checkpoint.
    What a commit has written survives the end of the process with each of them.
    """

    mode: str = USER  # of new namespaces; MIX lets each have its own
    file_size: int = DEFAULT_FILE_SIZE
    maxsize: int = 0  # of new namespaces, in bytes; 0: no limit
    sync: str = INTERVAL
    sync_s: float = 1.0
    retry_s: float = 1.0  # after a disk error, writes are refused for so long
    keep_torn: Path | None = None  # where cut off tails are kept
    clock: Callable[[], float] = time.time
    log: Callable[[str], None] = no_log
    is_replica: bool = False  # whether a folder that follows a master may be opened
    jumped: Callable[[str], None] = no_log  # is told the namespace that has begun new files
