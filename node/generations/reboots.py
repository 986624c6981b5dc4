"""Whether a reboot brings the kernel and initramfs of the release that the channel holds, and how.

A node that starts from a stick, or from a server that lags behind, comes back with those that it
had, and would reboot for ever. So what a reboot was for is kept on the disk of the cache, until it
is there. Without a disk, nobody knows.
"""

import threading
from collections.abc import Callable
from enum import StrEnum
from functools import partial

from common.releases.layout import boot_version
from node.flists.cache import DiskCache
from node.generations.held import Held
from node.generations.kexec import Kexec
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

    def __init__(
        self, running: str, find_cache: Callable[[], DiskCache | None], kexec: Kexec
    ) -> None:
        self.running = running
        self.find_cache = find_cache
        self.kexec = kexec
        self.wanted: str | None = None  # nobody has looked yet

    def rows(self, held: Held) -> dict[str, object]:
        """Return what the release that the channel holds needs."""
        other = boot_version(held.release) if held.release and held.sequence else ""
        self.wanted = "" if other == self.running else other
        fault = self.kexec.fault(self.wanted)
        found = self.judge(kexec=not fault)
        return {"kernel_changes": bool(self.wanted), "reboot": found, "kexec": fault}

    def judge(self, *, kexec: bool) -> Help:
        """Return whether a reboot may help; forget what an earlier one was for if it did."""
        cache = self.find_cache()
        if cache is None or cache.fault():
            return Help.UNKNOWN
        kept = cache.read(NAME)
        if kept.get("to") == self.running:
            cache.write(NAME, {})
        return Help.TRIED if kept == self.row(kexec=kexec) else Help.POSSIBLE

    def before(self, *, once: bool, kexec: bool) -> None:
        """Keep what a reboot is for; with `kexec`, load what it is to start.

        Raises `ZosError` if that fails, or if the reboot is to be done `once`, and it was, or
        nothing keeps that it was.
        """
        self.kexec.unload()
        if kexec and self.wanted is None:
            raise BusyError(
                "cannot start another kernel: the node has not looked at its channel yet",
                hint="zos node update, then again",
            )
        if kexec and not self.wanted:
            raise BusyError("cannot start another kernel: the channel holds the one that runs")
        if not self.wanted:
            return
        found = self.within(partial(self.judge, kexec=kexec))
        if once and found == Help.TRIED:
            raise BusyError(f"cannot reboot: the last one did not bring {self.wanted}")
        if kexec and (found == Help.POSSIBLE or not once):
            self.kexec.load(self.wanted)
        note = partial(self.note, kexec=kexec)
        if (found == Help.UNKNOWN or self.within(note) == Help.UNKNOWN) and once:
            self.kexec.unload()
            raise BusyError("cannot reboot once: no disk keeps that it was done")

    def note(self, *, kexec: bool) -> Help:
        """Keep that the node reboots for another version."""
        if cache := self.find_cache():
            row = self.row(kexec=kexec)
            cache.write(NAME, row)
            if cache.read(NAME) == row:
                return Help.POSSIBLE
        return Help.UNKNOWN

    def within(self, work: Callable[[], Help]) -> Help:
        """Return what work with the disk has found; it may hang."""
        found: list[Help] = []
        thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
        thread.start()
        thread.join(KEEP_S)
        return found[0] if found else Help.UNKNOWN

    def row(self, *, kexec: bool) -> dict[str, object]:
        """Return what is kept."""
        return {"from": self.running, "to": self.wanted, "kexec": kexec}
