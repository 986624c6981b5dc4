"""What a reader keeps, and where the holes of a file are."""

import random

import pytest

from flist.model import CHUNK_BYTES, Block, Extent, Inode, Meta, find_extent
from flist.mount import reader as module
from flist.mount.reader import Reader
from flist.mount.tree import Tree
from flist.store.fetch import Fetcher
from flist.unpack.present import overlaps
from tests.helpers.flist.tree import PathSource


class CountingSource(PathSource):
    """Counts how often blocks and metadata are loaded."""

    extents: tuple[Extent, ...] | None = None

    def __init__(self, paths: dict[bytes, int | bytes | None]) -> None:
        super().__init__(paths)
        self.loads = 0

    def blocks(self, ino: int) -> list[Block]:
        self.loads += 1
        size = self.kinds[self.paths[ino]]
        assert isinstance(size, int)
        return [Block(b"id", b"key")] * (size // CHUNK_BYTES)

    def meta(self, _ino: int) -> Meta:
        self.loads += 1
        return Meta(extents=self.extents)


class RowSource(CountingSource):
    """Each block has a row of its own, and can be loaded alone."""

    def __init__(self, paths: dict[bytes, int | bytes | None]) -> None:
        super().__init__(paths)
        self.windows: list[tuple[int, int, int]] = []

    def block_rows(self, ino: int) -> range | None:
        size = self.kinds[self.paths[ino]]
        assert isinstance(size, int)
        return range(ino * 100_000, ino * 100_000 + size // CHUNK_BYTES)

    def blocks_between(self, ino: int, rows: range, first: int) -> list[Block]:
        self.windows.append((ino, first, len(rows)))
        return [Block(b"%d" % ino, b"%d" % (row - ino * 100_000)) for row in rows]


def make_reader(source: CountingSource) -> tuple[Reader, list[Inode]]:
    """Return a reader, and the files of its root."""
    tree = Tree(source)
    return Reader(tree, Fetcher(None, None)), list(tree.entries(1).values())


def test_the_blocks_of_large_files_that_are_read_in_turns_are_loaded_once() -> None:
    source = CountingSource({b"/a": 5 << 30, b"/b": 5 << 30})
    reader, files = make_reader(source)
    for _ in range(10):
        for file in files:
            assert len(reader.blocks(file)) == 10240
    assert source.loads == 2


def test_the_oldest_blocks_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_BLOCKS", 10)
    source = CountingSource({b"/%d" % n: 4 * CHUNK_BYTES for n in range(4)})
    source.kinds[b"/3"] = 40 * CHUNK_BYTES
    reader, files = make_reader(source)
    for file in files[:3]:
        reader.blocks(file)
    assert list(reader.lists) == [files[1].ino, files[2].ino]
    assert reader.kept == 8
    reader.blocks(files[3])
    assert (list(reader.lists), reader.kept) == ([files[3].ino], 40)


def test_large_files_that_are_read_alternately_load_a_few_windows_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "KEPT_BLOCKS", 10)
    source = RowSource({b"/a": 5000 * CHUNK_BYTES, b"/b": 3000 * CHUNK_BYTES})
    reader, (a, b) = make_reader(source)
    for _ in range(3):
        for file, index in ((a, 0), (b, 2999), (a, 4999), (b, 1024), (a, 1023)):
            assert reader.blocks(file)[index] == Block(b"%d" % file.ino, b"%d" % index)
    assert source.windows == [(a.ino, 0, 1024), (b.ino, 2048, 952), (a.ino, 4096, 904),
                              (b.ino, 1024, 1024)]  # fmt: skip
    assert [block.key for block in reader.blocks(a)[1022:1026]] == [
        b"1022",
        b"1023",
        b"1024",
        b"1025",
    ]
    monkeypatch.setattr(module, "KEPT_WINDOWS", 2)
    assert len(list(reader.blocks(a))) == 5000
    assert len(reader.windows) <= 5
    with pytest.raises(IndexError):
        reader.blocks(b)[3000]


def brute_seek(size: int, extents: tuple[Extent, ...], offset: int, is_data: bool) -> int | None:
    """Return what `Reader.seek` must, byte by byte."""
    for place in range(offset, size):
        if is_data == any(e.start <= place < e.start + e.length for e in extents):
            return place
    return None if is_data else size


def test_seek_and_overlaps_agree_with_a_look_at_every_byte() -> None:
    """Also with empty extents, and with those that touch each other."""
    rng = random.Random(8)
    for _ in range(200):
        extents, end = [], 0
        for _ in range(rng.randrange(6)):
            start = end + rng.randrange(4)
            end = start + rng.randrange(5)
            extents.append(Extent(start, end - start))
        size = end + rng.randrange(1, 4)
        source = CountingSource({b"/f": size})
        source.extents = tuple(extents)
        reader, (file,) = make_reader(source)
        for offset in range(size):
            for is_data in (True, False):
                found = reader.seek(file, offset, is_data=is_data)
                assert found == brute_seek(size, source.extents, offset, is_data), extents
            length = rng.randrange(1, 9)
            inside = {
                place
                for e in extents
                for place in range(e.start, e.start + e.length)
                if offset <= place < offset + length
            }
            parts = overlaps(extents, offset, length)
            assert {p for e in parts for p in range(e.start, e.start + e.length)} == inside
        assert source.loads == 1


def test_an_extent_is_found_by_bisection() -> None:
    extents = [Extent(10 * number, 5) for number in range(60_000)]
    assert [find_extent(extents, at) for at in (0, 4, 5, 14, 15, 10**9)] == [0, 0, 1, 1, 2, 60_000]
