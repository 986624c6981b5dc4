"""The threads that answer reads from a store. A pipe stands in for the kernel."""

import errno
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from flist.model import CHUNK_BYTES, Block, Inode, Route
from flist.mount.ahead.ahead import Ahead
from flist.mount.failures import Failures
from flist.mount.fuse import wire
from flist.mount.fuse.connection import Connection
from flist.mount.fuse.waiting import THREADS, WaitingRead, WaitingReads
from flist.mount.reader import Reader
from flist.store.fetch import Fetcher
from flist.store.routed import RoutedStore
from tests.unit.flist.store.test_stores import FakeStore

INODE = Inode(3, 1, b"file", 4, 0, 0, 0o100644, 0, 0, 0)


class FakeReader:
    """Returns `data` from every read, or raises it."""

    def __init__(self, data: bytes | Exception) -> None:
        self.data = data
        self.fetcher = Fetcher(None, None)

    def read(self, _inode: Inode, _size: int, _offset: int) -> bytes:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data


@pytest.fixture(name="pipe")
def make_pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe, the reading end first."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def make_reads(handle: int) -> WaitingReads:
    """Return waiting reads whose replies go to a descriptor."""
    return WaitingReads(Connection(handle), Failures(Path("/")), Ahead())


def make_read(unique: int, data: bytes | Exception) -> WaitingRead:
    """Return a read of four bytes that returns or raises `data`."""
    return WaitingRead(unique, cast(Reader, FakeReader(data)), INODE, 4, 0)


def receive(handle: int) -> tuple[int, int, bytes]:
    """Return the next reply: the request's number, the error number, the data."""
    data = os.read(handle, 4096)
    _, number, unique = wire.OUT_HEADER.unpack_from(data)
    return unique, -number, data[wire.OUT_HEADER.size :]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a bug"), OSError(errno.EIO, "")])
def test_more_reads_fail_than_there_are_threads(
    error: Exception, capfd: pytest.CaptureFixture[str], pipe: tuple[int, int]
) -> None:
    replies, handle = pipe
    reads = make_reads(handle)
    for unique in range(2 * THREADS):
        reads.add(make_read(unique, error))
        assert receive(replies) == (unique, errno.EIO, b"")
    reads.add(make_read(99, b"data"))
    assert receive(replies) == (99, 0, b"data")
    assert [lane.threads for lane in reads.lanes.values()] == [THREADS]
    assert type(error).__name__ in capfd.readouterr().err


def test_an_interrupted_read_is_refused_once(pipe: tuple[int, int]) -> None:
    replies, handle = pipe
    reads = make_reads(handle)
    reads.pending.add(7)
    reads.interrupt(7)
    assert receive(replies) == (7, errno.EINTR, b"")
    reads.finish(7, b"data")  # the store answers after all
    reads.interrupt(7)
    reads.interrupt(8)
    reads.pending.add(9)
    reads.finish(9, b"data")
    assert receive(replies) == (9, 0, b"data")


class ShardedReader(FakeReader):
    """A file of two chunks in different stores, of which the first one hangs."""

    def __init__(self, released: threading.Event) -> None:
        super().__init__(b"data")
        self.released = released
        stores = [FakeStore(), FakeStore()]
        routes = [(Route(0, 127, "a"), stores[0]), (Route(128, 255, "b"), stores[1])]
        self.fetcher = Fetcher(RoutedStore(routes, lambda *_: None), None)

    def blocks(self, _inode: Inode) -> list[Block]:
        return [Block(bytes(32), b""), Block(b"\xff" * 32, b"")]

    def read(self, inode: Inode, size: int, offset: int) -> bytes:
        if offset == 0:
            self.released.wait(60)
        return super().read(inode, size, offset)


def test_reads_of_a_store_that_hangs_do_not_hold_those_of_another(pipe: tuple[int, int]) -> None:
    replies, handle = pipe
    reads, released = make_reads(handle), threading.Event()
    reader = cast(Reader, ShardedReader(released))
    for unique in range(3 * THREADS):
        reads.add(WaitingRead(unique, reader, INODE, 4, 0))
    reads.add(WaitingRead(99, reader, INODE, 4, CHUNK_BYTES))
    assert select.select([replies], [], [], 60)[0]
    assert receive(replies) == (99, 0, b"data")
    released.set()
    wanted = 3 * THREADS * (wire.OUT_HEADER.size + len(b"data"))
    received = b""
    while len(received) < wanted and select.select([replies], [], [], 60)[0]:
        received += os.read(replies, wanted)
    assert len(received) == wanted
