"""Mounts of large files and of many inodes."""

import contextlib
import hashlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from common.processors import cpu_count
from flist.blocks.codec import encode
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import CHUNK_BYTES, Block, Extent, Inode, Meta, Route
from flist.store.folder import FolderStore
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.processes import children_of

FOUR_GIB = 1 << 32
SIZE = FOUR_GIB + (3 << 20) + 12_345
MOST_KIB = 60_000


AROUND = hashlib.shake_256(b"around").digest(2 << 20)
PARTS = [(0, b"start"), (FOUR_GIB - (1 << 20), AROUND), (SIZE - 5, b"end.\n")]
EXTENTS = (Extent(0, 4096), Extent(PARTS[1][0], len(AROUND)), Extent(SIZE - 5, 5))


def test_a_file_beyond_32_bits(tmp_path: Path, adapter: str) -> None:
    """Data on both sides of 4 GiB, and holes between, read in every way."""
    write_huge(tmp_path)
    with mounted(tmp_path / "a.fl", tmp_path / "m", "--adapter", adapter) as mount:
        path = mount.path / "huge"
        assert path.stat().st_size == SIZE
        with path.open("rb", buffering=0) as stream:
            check_reads(stream.fileno())
            if adapter == "raw":  # mfusepy has no lseek
                assert path.stat().st_blocks < 8192
                found = list(find_data(stream.fileno()))
                assert found == [(extent.start, extent.length) for extent in EXTENTS]


def write_huge(folder: Path) -> None:
    """Write a flist of one file directly: packing the file would read all of it."""
    chunks = dict.fromkeys(range(0, SIZE, CHUNK_BYTES), bytes(CHUNK_BYTES))
    last = max(chunks)
    chunks[0] = b"start".ljust(CHUNK_BYTES, b"\0")
    chunks[last] = b"end.\n".rjust(SIZE - last, b"\0")
    for offset in range(0, len(AROUND), CHUNK_BYTES):
        chunks[PARTS[1][0] + offset] = AROUND[offset : offset + CHUNK_BYTES]
    store = FolderStore(folder / "blocks")
    known: dict[bytes, Block] = {}
    for chunk in set(chunks.values()):
        encoded = encode(chunk)
        store.put(encoded.block.id, encoded.data)
        known[chunk] = encoded.block
    inodes = [Inode(1, 0, b"/", 4096, 0, 0, 0o40755, 0, 0, 0),
              Inode(2, 1, b"huge", SIZE, 0, 0, 0o100644, 0, 0, 0)]  # fmt: skip
    blocks = {2: [known[chunk] for chunk in chunks.values()]}
    routes = [Route(0, 255, f"dir://{folder}/blocks")]
    write_flist(folder / "a.fl", Tables(inodes, blocks, {2: Meta(extents=EXTENTS)}, {}, routes))


def check_reads(handle: int) -> None:
    """Read each part whole, at random and through a mapping; and read in a hole."""
    for advice in (os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_RANDOM):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(handle, 0, 0, advice)
        for offset, data in PARTS:
            place = len(data) // 2
            assert os.pread(handle, 2, offset + place) == data[place : place + 2]
            assert os.pread(handle, len(data), offset) == data
    start = PARTS[1][0]
    with mmap.mmap(handle, len(AROUND), prot=mmap.PROT_READ, offset=start) as view:
        assert view[:] == AROUND
    assert os.pread(handle, 4096, FOUR_GIB // 2) == bytes(4096)
    assert os.pread(handle, 4096, SIZE - 2) == b".\n"
    assert os.pread(handle, 4096, SIZE) == b""


def find_data(handle: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the length of each range of data."""
    end = 0
    with contextlib.suppress(OSError):  # there is no more data
        while True:
            start = os.lseek(handle, end, os.SEEK_DATA)
            end = os.lseek(handle, start, os.SEEK_HOLE)
            yield start, end - start


def test_a_flist_named_by_its_md5(tmp_path: Path) -> None:
    """Nodes keep flists under such names, which say nothing about the format."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "one").write_text("content")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "tree")
    data = (tmp_path / "a.fl").read_bytes()
    meta = tmp_path / hashlib.md5(data, usedforsecurity=False).hexdigest()
    (tmp_path / "a.fl").rename(meta)
    rfs("keygen", tmp_path / "key")
    rfs("sign", "-m", meta, "-k", tmp_path / "key", "-n", "a/b")
    for words in ((), ("--key", tmp_path / "key.pub")):
        with mounted(meta, tmp_path / "m", *words) as mount:
            assert (mount.path / "one").read_text() == "content"
            rfs("remount", "-m", meta, mount.path)
            assert (mount.path / "one").read_text() == "content"


def test_memory_of_a_mount_of_100000_inodes(tmp_path: Path) -> None:
    """After a listing of all of them the mount's processes use less than 60 MB."""
    count = make_large_flist(tmp_path / "large.fl")
    with mounted(tmp_path / "large.fl", tmp_path / "m") as mount:
        assert sum(len(names) + len(files) for _, names, files in os.walk(mount.path)) == count - 1
        children = children_of(mount.process.pid)
        assert len(children) == (cpu_count() > 1)  # the decoder
        own = count_kib(mount.process.pid, "Rss:")
        theirs = sum(count_kib(child, "Private_Clean:", "Private_Dirty:") for child in children)
        assert (theirs > 0) == bool(children)
        assert own + theirs < MOST_KIB
        status = Path(f"/proc/{mount.process.pid}/status").read_text()
        assert int(status.partition("VmHWM:")[2].split()[0]) + theirs < MOST_KIB


def count_kib(pid: int, *names: str) -> int:
    """Return the sum of some fields of a process's smaps_rollup, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    rows = [line.split() for line in lines]
    return sum(int(row[1]) for row in rows if row[0] in names)


def make_large_flist(path: Path) -> int:
    """Write a flist of 500 directories with 200 files each; return its number of inodes."""
    folder_mode, file_mode = 0o40755, 0o100644
    inodes = [Inode(1, 0, b"/", 4096, 0, 0, folder_mode, 0, 0, 0)]
    blocks = {}
    for folder in range(500):
        parent = len(inodes) + 1
        inodes.append(Inode(parent, 1, b"folder-%04d" % folder, 4096, 0, 0, folder_mode, 0, 0, 0))
        for file in range(200):
            ino = len(inodes) + 1
            name = b"some-name-%05d" % file
            inodes.append(Inode(ino, parent, name, 5000, 0, 0, file_mode, 0, file, file))
            blocks[ino] = [Block(ino.to_bytes(32, "big"), ino.to_bytes(32, "little"))]
    write_flist(path, Tables(inodes, blocks, {}, {}, [Route(0, 255, "dir:///nowhere")]))
    return len(inodes)
