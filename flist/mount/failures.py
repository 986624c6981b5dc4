"""Reports on stderr why a mount could not answer: the kernel passes on an error number only.

Each failure is one line. A store that is down makes thousands of reads fail, so there is a limit.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from common.errors import render_error, tell
from flist.errors import FlistError
from flist.model import CHUNK_BYTES, ROOT_INO, Inode
from flist.mount.reader import Reader
from flist.mount.tree import Tree

PROG = "rfs mount"
MOST_LINES = 10
WINDOW_S = 10.0
MAX_DEPTH = 256


class Failures:
    """The failures of the mount on `target`: the first `MOST_LINES` of each `WINDOW_S` seconds are
    reported, the others counted. Safe to use from several threads."""

    def __init__(self, target: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.target = target
        self.clock = clock
        self.lock = threading.Lock()
        self.began = clock()
        self.count = 0

    def note(self, what: str, error: FlistError) -> None:
        """Report that `what` cannot be done, and why."""
        if self.count_one():
            tell(render_error(FlistError(f"cannot {what}: {error.message}"), PROG))

    def note_inode(self, tree: Tree, inode: Inode, error: FlistError) -> None:
        """Report why a request about an inode failed."""
        self.note(f"access {self.target}{path_of(tree, inode)}", error)

    def note_read(
        self, reader: Reader, inode: Inode, size: int, offset: int, error: FlistError
    ) -> None:
        """Report which file cannot be read, where in it, which block that needs, and why."""
        if self.count_one():
            what = f"read {self.target}{path_of(reader.tree, inode)} at byte {offset}"
            reason = error.message + name_blocks(reader, inode, size, offset, error)
            tell(render_error(FlistError(f"cannot {what}: {reason}"), PROG))

    def count_one(self) -> bool:
        """Count a failure and return whether to report it. The first one of a new window reports
        how many were left out in the last one."""
        with self.lock:
            now = self.clock()
            if now - self.began >= WINDOW_S:
                left_out = self.count - MOST_LINES
                self.began, self.count = now, 0
                if left_out > 0:
                    tell(f"{PROG}: {left_out} more requests failed\n")
            self.count += 1
            return self.count <= MOST_LINES


def path_of(tree: Tree, inode: Inode) -> str:
    """Return the path of an inode from the root of the flist, or its number if there is none."""
    names: list[str] = []
    here = inode
    try:
        while here.ino != ROOT_INO:
            if len(names) == MAX_DEPTH:
                raise FileNotFoundError(inode.ino)  # the parents form a cycle
            names.append(os.fsdecode(here.name))
            here = tree.inode(here.parent)
    except (FlistError, FileNotFoundError):
        return f" (inode {inode.ino})"
    return "/" + "/".join(reversed(names))


def name_blocks(reader: Reader, inode: Inode, size: int, offset: int, error: FlistError) -> str:
    """Return the text that names the blocks of a range; empty if `error` names one already."""
    try:
        end = min(offset + size, inode.size)
        blocks = reader.blocks(inode)[offset // CHUNK_BYTES : -(-end // CHUNK_BYTES)]
    except FlistError:
        return ""
    ids = [block.id.hex() for block in blocks]
    if not ids or any(name in error.message for name in ids):
        return ""
    return f" (block {' or '.join(ids)})"
