"""Passes damaged flists through everything that reads them, without a kernel. Each result is right,
or an error that a user can act on."""

import hashlib
import itertools
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast
from unittest.mock import patch

from flist.blocks.codec import digest
from flist.blocks.parts import PART_BYTES, encode_parts
from flist.errors import FlistError
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import CHUNK_BYTES, ROOT_INO, Block, Extent, Inode, Meta, Route, chunk_count
from flist.mount.fuse import wire
from flist.mount.fuse.connection import Connection
from flist.mount.fuse.handlers import Handlers
from flist.mount.fuse.versions import Versions
from flist.mount.fuse.waiting import WaitingReads
from flist.mount.reader import Reader, open_reader
from flist.store.folder import FolderStore
from flist.store.sources import Sources
from flist.unpack.unpack import unpack
from flist.unpack.verify import verify

LARGEST_PATH_BYTES = 4095
MAX_WALKED = 200


class Sample(NamedTuple):
    """An intact flist, the URL of its store, and the plain hashes of all its chunks and of all
    parts of them."""

    meta: Path
    store: str
    known: frozenset[bytes]


def content_of(size: int) -> bytes:
    """Return bytes that look random and compress a little."""
    return hashlib.shake_256(size.to_bytes(4, "big")).digest(size // 2) * 2


def make_sample(folder: Path) -> Sample:
    """Make a flist with every kind of entry that an unprivileged user can restore."""
    store = FolderStore(folder / "blocks")
    known = set()
    parts: dict[bytes, bytes] = {}
    blocks: dict[int, list[Block]] = {}
    sizes = {3: 0, 4: 2, 5: 40_000, 6: CHUNK_BYTES, 7: 2 * CHUNK_BYTES + 1000, 8: 100_000}
    for ino, size in sizes.items():
        data = content_of(size)
        for start in range(0, size, CHUNK_BYTES):
            chunk = data[start : start + CHUNK_BYTES]
            encoded, parts_row = encode_parts(chunk, digest(chunk))
            store.put(encoded.block.id, encoded.data)
            parts[encoded.block.id] = parts_row
            known.add(encoded.block.key)
            known.update(
                digest(chunk[at : at + PART_BYTES]) for at in range(0, len(chunk), PART_BYTES)
            )
            blocks.setdefault(ino, []).append(encoded.block)
    blocks[11] = blocks[5]
    rows = [(1, 0, b"/", 0o040755, 4096), (2, 1, b"folder", 0o040755, 4096)]
    rows += [(ino, 1 + ino % 2, b"file%d" % ino, 0o100644, size) for ino, size in sizes.items()]
    rows += [(9, 1, b"link", 0o120777, 6), (10, 2, b"fifo", 0o010644, 0)]
    rows += [(11, 2, b"hard", 0o100644, sizes[5]), (12, 2, b"\xffname", 0o040700, 4096)]
    inodes = [
        Inode(ino, parent, name, size, 0, 0, mode, 0, 10**18 + 7, 10**18 + 7)
        for ino, parent, name, mode, size in rows
    ]
    inodes[10] = inodes[10]._replace(same_as=5, nlink=2)
    meta = {
        9: Meta(target=b"folder"),
        5: Meta(xattrs=((b"user.one", b"1"), (b"user.two", b"2" * 100))),
        8: Meta(extents=(Extent(0, 4096), Extent(8192, 91_808))),
    }
    routes = [Route(0, 255, f"dir://{folder}/blocks")]
    content = Tables(inodes, blocks, meta, {"version": "1"}, routes, parts)
    write_flist(folder / "whole.fl", content)
    return Sample(folder / "whole.fl", routes[0].url, frozenset(known))


def exercise(meta: Path, sample: Sample) -> str:
    """Read the flist `meta` in every way; return "refused" if it cannot be opened, else "read".

    Raises every exception that is not a `FlistError`, and `AssertionError` for wrong bytes.
    """
    sources = Sources([sample.store], None, wait_s=0)
    outcome = "refused"
    try:
        # Treat every file as large, so that parts of its blocks are read.
        with patch("flist.mount.reader.LARGE_BYTES", 0), open_reader(meta, sources) as reader:
            outcome = "read"
            Kernel(reader, sample).walk()
            reader.tree.source.totals()
    except FlistError:
        pass
    for check in (check_verify, check_unpack):
        try:
            check(meta, sources)
        except FlistError as error:
            assert error.message
    return outcome


def check_verify(meta: Path, sources: Sources) -> None:
    """Verify the flist."""
    verify(meta, sources)


def check_unpack(meta: Path, sources: Sources) -> None:
    """Unpack the flist; nothing beside the target may change."""
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder) / "beside"
        beside.mkdir()
        (beside / "kept").write_text("kept")
        before = beside.stat(), (beside / "kept").stat().st_ctime_ns
        try:
            unpack(meta, Path(folder) / "out", sources, processes=1)
        finally:
            assert sorted(p.name for p in Path(folder).iterdir()) in (["beside"], ["beside", "out"])
            assert (beside.stat(), (beside / "kept").stat().st_ctime_ns) == before
            assert [p.name for p in beside.iterdir()] == ["kept"]


class FakeConnection(Connection):
    """Keeps the data of the last reply."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.data: bytes | None = None

    def reply(self, unique: int, *pieces: bytes | memoryview) -> bool:
        del unique
        self.data = b"".join(pieces)
        return True


class Kernel:
    """Sends requests to a mount's handlers, as the kernel would."""

    def __init__(self, reader: Reader, sample: Sample) -> None:
        self.reader = reader
        self.connection = FakeConnection()
        no_reads = cast(WaitingReads, None)  # every block is on this machine
        self.handlers = Handlers(Versions(reader), self.connection, no_reads)
        self.sample = sample
        self.seen: set[int] = set()

    def ask(self, opcode: int, nodeid: int, body: bytes = b"") -> bytes | None:
        """Return the data of the reply, or None for an error number; raises anything else."""
        request = wire.Request(opcode, 1, nodeid, memoryview(body))
        self.connection.data = None
        try:
            data = self.handlers.table[opcode](request)
        except (OSError, FlistError):
            return None
        data = self.connection.data if data is None else data
        assert data is not None, "no reply"
        return data

    def walk(self) -> None:
        """Send every request about every node that can be found from the root."""
        self.ask(wire.INIT, 0, wire.INIT_IN.pack(7, 36, 131072, 0xFFFFFFFF))
        self.ask(wire.STATFS, ROOT_INO)
        pending = [ROOT_INO]
        while pending and len(self.seen) < MAX_WALKED:
            ino = pending.pop()
            if ino not in self.seen:
                self.seen.add(ino)
                pending += self.look_at(ino)

    def look_at(self, ino: int) -> list[int]:
        """Send every request about one node; return the nodes in it."""
        self.ask(wire.GETATTR, ino)
        self.ask(wire.GETXATTR, ino, wire.SIZE_IN.pack(0, 0) + b"user.one\0")
        self.ask(wire.GETXATTR, ino, wire.SIZE_IN.pack(65536, 0) + b"user.two\0")
        self.ask(wire.LISTXATTR, ino, wire.SIZE_IN.pack(0, 0))
        self.ask(wire.LISTXATTR, ino, wire.SIZE_IN.pack(65536, 0))
        target = self.ask(wire.READLINK, ino)
        assert target is None or len(target) <= LARGEST_PATH_BYTES
        for whence, offset in itertools.product((3, 4), (0, 5000, 2**62)):
            self.ask(wire.LSEEK, ino, wire.LSEEK_IN.pack(0, offset, whence))
        inode = self.reader.tree.source.inode(ino)
        if inode is not None and stat.S_ISREG(inode.mode):
            self.read(inode)
        return list(self.children(ino))

    def read(self, inode: Inode) -> None:
        """Read parts and chunks of a file. Each is one of the sample's, or refused."""
        for start in sorted({0, PART_BYTES, inode.size // PART_BYTES * PART_BYTES}):
            data = self.ask(wire.READ, inode.ino, wire.READ_IN.pack(0, start, PART_BYTES, 0))
            assert not data or digest(data) in self.sample.known, "wrong bytes of a part"
        last = chunk_count(inode.size) - 1
        for index in sorted({0, 1, 2, last} - {-1}):
            body = wire.READ_IN.pack(0, index * CHUNK_BYTES, CHUNK_BYTES, 0)
            data = self.ask(wire.READ, inode.ino, body)
            assert not data or digest(data) in self.sample.known, "wrong bytes"
            assert data is None or bool(data) == (index <= last), "a file that ends too early"

    def children(self, ino: int) -> Iterator[int]:
        """List a directory with READDIR and READDIRPLUS, and look every name up."""
        offset = 0
        while listing := self.ask(wire.READDIR, ino, wire.READ_IN.pack(0, offset, 4096, 0)):
            place = 0
            while place < len(listing):
                child, offset, length, _ = wire.DIRENT.unpack_from(listing, place)
                name = listing[place + wire.DIRENT.size :][:length]
                if name not in (b".", b".."):
                    assert name and b"/" not in name and b"\0" not in name
                    self.ask(wire.LOOKUP, ino, name + b"\0")
                    yield child
                place += wire.DIRENT.size + length + -length % 8
        self.ask(wire.READDIRPLUS, ino, wire.READ_IN.pack(0, 0, 65536, 0))
