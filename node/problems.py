"""What is wrong on a node now, for its status; what has passed is not kept."""

import threading
import time
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Problem:
    """A fault: its code (`common.bootcodes`, or empty), and since when it is there (Unix time)."""

    code: str
    text: str
    since: float


class Problems:
    """The faults, at most one for each part of the node. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, Problem] = {}

    def note(self, part: str, text: str, code: str = "") -> bool:
        """Remember what is wrong with a part; return whether that is new."""
        with self._lock:
            known = self._faults.get(part)
            if known and (known.code, known.text) == (code, text):
                return False
            self._faults[part] = Problem(code, text, time.time())
            return True

    def clear(self, part: str) -> None:
        """Forget what was wrong with a part."""
        with self._lock:
            self._faults.pop(part, None)

    def rows(self) -> list[dict[str, object]]:
        """Return the faults as they stand in the status."""
        with self._lock:
            return [asdict(fault) for fault in self._faults.values()]
