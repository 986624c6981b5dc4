"""Replies and notifications to the kernel, through the descriptor of a mounted /dev/fuse."""

import contextlib
import os

from flist.mount.fuse import wire


class Connection:
    """One connection to the kernel. Safe to use from several threads."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def reply(self, unique: int, *pieces: bytes | memoryview) -> bool:
        """Answer the request `unique` with data; return whether the kernel took it. It has dropped
        a request that was interrupted meanwhile; that is no error."""
        length = wire.OUT_HEADER.size
        for piece in pieces:
            length += len(piece)
        try:
            os.writev(self.handle, (wire.OUT_HEADER.pack(length, 0, unique), *pieces))
        except FileNotFoundError:
            return False
        return True

    def refuse(self, unique: int, number: int) -> None:
        """Answer the request `unique` with an error number."""
        header = wire.OUT_HEADER.pack(wire.OUT_HEADER.size, -number, unique)
        with contextlib.suppress(FileNotFoundError):
            os.write(self.handle, header)

    def notify(self, message: bytes) -> None:
        """Send a notification of `wire`. The kernel refuses one about a node that it does not
        know; that is no error."""
        with contextlib.suppress(OSError):
            os.write(self.handle, message)
