"""Says why a mount could not answer: whoever asked is told a number only, by the kernel.

A line each, on stderr; a store that is gone makes thousands of reads fail, so there is a limit.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from common.errors import render_error, tell
from flist.errors import FlistError
from flist.model import CHUNK_BYTES, ROOT_INO, Inode
from flist.mount.fuse import wire
from flist.mount.fuse.listing import INO_MASK
from flist.mount.reader import Reader
from flist.mount.tree import Tree

PROG = "rfs mount"
MOST_LINES = 10
WINDOW_S = 10.0
MAX_DEPTH = 256


class Failures:
    """The failures of the mount on `target`: the first `MOST_LINES` of each `WINDOW_S` seconds are
    told, the others counted. Safe to use from several threads."""

    def __init__(self, target: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.target = target
        self.clock = clock
        self.lock = threading.Lock()
        self.began = clock()
        self.count = 0

    def note(self, what: str, error: FlistError) -> None:
        """Say that `what` can't be done, and why."""
        if self.is_told():
            tell(render_error(FlistError(f"cannot {what}: {error.message}"), PROG))

    def note_request(
        self,
        request: wire.Request,
        error: FlistError,
        find: Callable[[int], tuple[Reader, Inode]],
    ) -> None:
        """Say why a request of the kernel is refused; `find` gives version and inode of a node."""
        try:
            reader, inode = find(request.nodeid)
        except (FlistError, FileNotFoundError):
            self.note(f"look at inode {request.nodeid & INO_MASK}", error)
            return
        if request.opcode == wire.READ:
            _, offset, size, _ = wire.READ_IN.unpack_from(request.body)
            self.note_read(reader, inode, size, offset, error)
        else:
            self.note(f"look at {self.target}{path_of(reader.tree, inode)}", error)

    def note_read(
        self, reader: Reader, inode: Inode, size: int, offset: int, error: FlistError
    ) -> None:
        """Say which file can't be read where, for want of which block, and why."""
        if self.is_told():
            what = f"read {self.target}{path_of(reader.tree, inode)} at byte {offset}"
            reason = error.message + name_blocks(reader, inode, size, offset, error)
            tell(render_error(FlistError(f"cannot {what}: {reason}"), PROG))

    def is_told(self) -> bool:
        """Count one more; return whether it is told. What was not is told of when it is over."""
        with self.lock:
            now = self.clock()
            if now - self.began >= WINDOW_S:
                untold = self.count - MOST_LINES
                self.began, self.count = now, 0
                if untold > 0:
                    tell(f"{PROG}: {untold} more could not be answered\n")
            self.count += 1
            return self.count <= MOST_LINES


def path_of(tree: Tree, inode: Inode) -> str:
    """Return the path of an inode from the root of the flist, or else its number."""
    names: list[str] = []
    here = inode
    try:
        while here.ino != ROOT_INO:
            if len(names) == MAX_DEPTH:
                raise FileNotFoundError(inode.ino)  # it goes round in a circle
            names.append(os.fsdecode(here.name))
            here = tree.inode(here.parent)
    except (FlistError, FileNotFoundError):
        return f" (inode {inode.ino})"
    return "/" + "/".join(reversed(names))


def name_blocks(reader: Reader, inode: Inode, size: int, offset: int, error: FlistError) -> str:
    """Return what names the blocks of a range, unless `error` names one."""
    try:
        end = min(offset + size, inode.size)
        blocks = reader.blocks(inode)[offset // CHUNK_BYTES : -(-end // CHUNK_BYTES)]
    except FlistError:
        return ""
    ids = [block.id.hex() for block in blocks]
    if not ids or any(name in error.message for name in ids):
        return ""
    return f" (block {' or '.join(ids)})"
