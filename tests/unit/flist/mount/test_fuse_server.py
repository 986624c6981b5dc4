"""The mount's threads, without a kernel: what they answer is read from a pipe."""

import errno
import os
from pathlib import Path
from typing import cast

import pytest

from flist.model import Inode
from flist.mount.fuse import wire
from flist.mount.fuse.server import READERS, Server
from flist.mount.reader import Reader
from flist.store.fetch import Fetcher

INODE = Inode(3, 1, b"file", 4, 0, 0, 0o100644, 0, 0, 0)


class SpoiltReader:
    """Reads `data`, or raises it."""

    def __init__(self, data: bytes | Exception) -> None:
        self.data = data
        self.fetcher = Fetcher(None, None)

    def read_now(self, _inode: Inode, _size: int, _offset: int) -> None:
        """Say that everything is far away."""

    def read(self, _inode: Inode, _size: int, _offset: int) -> bytes:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a bug"), OSError(errno.EIO, "")])
def test_more_reads_fail_than_there_are_threads(
    error: Exception, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, handle = os.pipe()
    try:
        server = Server(cast(Reader, None), handle, Path("/"), lambda: None)
        bad = cast(Reader, SpoiltReader(error))
        good = cast(Reader, SpoiltReader(b"data"))
        find = iter([bad] * 2 * READERS + [good])
        monkeypatch.setattr(server, "find", lambda _nodeid: (next(find), INODE))
        seen = []
        for unique in range(2 * READERS + 1):
            body = memoryview(wire.READ_IN.pack(0, 0, 4, 0))
            server.read(wire.Request(wire.READ, unique, 3, body))
            _, number, answered = wire.OUT_HEADER.unpack_from(data := os.read(answers, 4096))
            assert answered == unique
            seen.append((-number, data[wire.OUT_HEADER.size :]))
        assert seen == [(errno.EIO, b"")] * 2 * READERS + [(0, b"data")]
        assert server.threads == READERS
        assert type(error).__name__ in capfd.readouterr().err
    finally:
        os.close(answers)
        os.close(handle)
