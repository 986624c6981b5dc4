"""Whether a reboot brings the kernel and initramfs of the release that the channel holds.

A node that starts from a stick, or from a server that lags behind, comes back with those that it
had, and would reboot for ever. So what a reboot was for is kept on the disk of the cache. Without
one, nobody knows.
"""

import threading
from collections.abc import Callable
from enum import StrEnum

from common.releases.layout import boot_version
from node.flists.cache import DiskCache
from node.generations.held import Held
from node.generations.machine import BusyError

NAME = "reboot"
KEEP_S = 10.0  # a broken disk may hang


class Help(StrEnum):
    """What a reboot may do."""

    POSSIBLE = "possible"
    TRIED = "tried"  # the node came back with what it had
    UNKNOWN = "unknown"  # nothing keeps that it was tried


class Reboots:
    """What reboots were for, on the disk that `find_cache` returns.

    `running` is the boot version that runs, `wanted` the one that the channel holds if it is
    another one.
    """

    def __init__(self, running: str, find_cache: Callable[[], DiskCache | None]) -> None:
        self.running = running
        self.find_cache = find_cache
        self.wanted = ""

    def rows(self, held: Held) -> dict[str, object]:
        """Return what the release that the channel holds needs."""
        other = boot_version(held.release) if held.release and held.sequence else ""
        self.wanted = "" if other == self.running else other
        return {"kernel_changes": bool(self.wanted), "reboot": self.judge()}

    def judge(self) -> Help:
        """Return whether a reboot may help."""
        cache = self.find_cache()
        if cache is None or cache.fault():
            return Help.UNKNOWN
        return Help.TRIED if cache.read(NAME) == self.row() else Help.POSSIBLE

    def before(self, *, once: bool) -> None:
        """Keep what a reboot is for. Raises `BusyError` if it is to be done `once`, and it was, or
        nothing keeps that it was."""
        if not self.wanted:
            return
        found: list[Help] = []
        thread = threading.Thread(target=lambda: found.append(self.note()), daemon=True)
        thread.start()
        thread.join(KEEP_S)
        if once and found == [Help.TRIED]:
            raise BusyError(f"cannot reboot: the last one did not bring {self.wanted}")
        if once and found != [Help.POSSIBLE]:
            raise BusyError("cannot reboot once: no disk keeps that it was done")

    def note(self) -> Help:
        """Keep that the node reboots for another version; return what that may do."""
        found, cache = self.judge(), self.find_cache()
        if cache is None or found == Help.UNKNOWN:
            return Help.UNKNOWN
        cache.write(NAME, self.row())
        return found if cache.read(NAME) == self.row() else Help.UNKNOWN

    def row(self) -> dict[str, object]:
        """Return what is kept."""
        return {"from": self.running, "to": self.wanted}
