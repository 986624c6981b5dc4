"""Which reads are taken for a walk through a tree or a file, and what comes next in it."""

from typing import Any, cast

import pytest

from flist.blocks.decoder import MAX_JOBS, REGION_BYTES, REGIONS, Decoder, Slot
from flist.errors import FormatError
from flist.model import CHUNK_BYTES, NO_META, Block, Inode, Meta, chunk_count
from flist.mount.ahead.sequence import PATIENCE, WHOLE_BYTES, Sequence, upcoming
from flist.mount.reader import Reader
from flist.mount.tree import Tree
from flist.store.fetch import Fetcher

DIR, FILE = 0o040755, 0o100644


class FakeTree:
    """Inodes in a dictionary. Every chunk has its own block."""

    def __init__(self, rows: list[tuple[int, int, int, int]]) -> None:
        self.inodes = {
            ino: Inode(ino, parent, b"%d" % ino, size, 0, 0, mode, 0, 0, 0)
            for ino, parent, mode, size in rows
        }
        self.is_damaged = False
        self.large: set[int] = set()
        self.listed: list[int] = []

    def inode(self, ino: int) -> Inode | None:
        return self.inodes.get(ino)

    def children(self, ino: int) -> list[Inode]:
        if self.is_damaged:
            raise FormatError("damaged")
        self.listed.append(ino)
        return [i for i in self.inodes.values() if i.parent == ino and i.ino != 1]

    def entries_after(self, folder: int, ino: int, limit: int) -> list[Inode]:
        assert folder in self.large
        after = [i for i in self.inodes.values() if i.parent == folder and i.ino > max(ino, 1)]
        return after[:limit]

    def blocks(self, ino: int) -> list[Block]:
        return [make_block(ino, n) for n in range(chunk_count(self.inodes[ino].size))]

    def block_rows(self, _ino: int) -> range | None:
        return None

    def blocks_between(self, _ino: int, _rows: range, _first: int) -> list[Block]:
        raise AssertionError

    def large_folders(self) -> set[int]:
        return self.large

    def is_large(self, _folder: int) -> bool:
        return False

    def parts(self, _block_id: bytes) -> bytes | None:
        return None

    def small_blocks(self, _folder: int, _start: int) -> dict[int, Block]:
        return {}

    def meta(self, _ino: int) -> Meta:
        return NO_META

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def make_block(ino: int, number: int) -> Block:
    """Return the block of a chunk."""
    return Block(b"%d-%d" % (ino, number), b"key")


class FakeDecoder:
    """Accepts and keeps everything that it is sent."""

    def __init__(self) -> None:
        self.slots: dict[Block, Slot] = {}
        self.batches: list[list[Block]] = []
        self.sent_bytes = 0
        self.ahead_bytes = 0

    def has_room(self) -> bool:
        return len(self.batches) < REGIONS

    def skip(self) -> None:
        self.ahead_bytes = 0

    def send(self, batch: dict[Block, int]) -> None:
        assert 0 < len(batch) <= MAX_JOBS
        assert sum(batch.values()) <= REGION_BYTES
        assert not batch.keys() & self.slots.keys()
        for block, size in batch.items():
            self.sent_bytes += size
            self.slots[block] = Slot(len(self.slots), block, 0, size, self.sent_bytes)
        self.batches.append(list(batch))
        self.ahead_bytes += sum(batch.values())

    def reach(self, first: Slot, last: Slot) -> None:
        assert first.number <= last.number
        self.ahead_bytes = self.sent_bytes - last.end

    def sent(self) -> list[bytes]:
        return [block.id for batch in self.batches for block in batch]


def make_tree() -> FakeTree:
    """Return two directories with files, numbered breadth first."""
    rows = [(1, 1, DIR, 0), (2, 1, DIR, 0), (3, 1, FILE, 10), (4, 1, DIR, 0)]
    rows += [(ino, 2, FILE, 100) for ino in range(5, 8)] + [(8, 2, DIR, 0)]
    rows += [(9, 4, FILE, 3 * CHUNK_BYTES), (10, 4, FILE, 0), (11, 8, FILE, 1), (12, 8, FILE, 1)]
    return FakeTree(rows)


def begin(source: FakeTree) -> tuple[Reader, FakeDecoder, Sequence]:
    """Return a reader of `source`, a decoder, and a sequence that notes the reads."""
    decoder = FakeDecoder()
    return Reader(Tree(source), Fetcher(None, None)), decoder, Sequence(cast(Decoder, decoder))


def test_a_walk_is_depth_first() -> None:
    source = make_tree()
    found = [(c[0].ino, c[1]) if c else None for c in upcoming(Tree(source), source.inodes[5], 0)]
    nine = [(9, 0), (9, 1), (9, 2)]
    assert found == [(5, 0), (6, 0), (7, 0), None, (11, 0), (12, 0), (3, 0), None, *nine]
    assert list(upcoming(Tree(source), source.inodes[10], 0)) == []


def test_a_large_directory_is_not_entered() -> None:
    source = make_tree()
    source.large = {8}
    reader, decoder, sequence = begin(source)
    for ino in (5, 6, 7):
        sequence.note(reader, source.inodes[ino], 0, 4096)
    assert decoder.sent() == [b"7-0", b"3-0", b"9-0", b"9-1"]
    assert 8 not in source.listed


def test_two_files_of_a_directory_in_order_begin_a_walk() -> None:
    source = make_tree()
    reader, decoder, sequence = begin(source)
    sequence.note(reader, source.inodes[5], 0, 4096)
    assert decoder.sent() == []
    sequence.note(reader, source.inodes[6], 0, 4096)
    assert decoder.sent() == [b"7-0", b"11-0", b"12-0", b"3-0", b"9-0"]
    sequence.note(reader, source.inodes[7], 0, 4096)
    assert decoder.sent()[5:] == [b"9-1"]
    assert reader.fetcher.decoder is sequence.decoder


def test_a_large_file_in_order_begins_a_walk() -> None:
    source = FakeTree([(1, 1, DIR, 0), (2, 1, FILE, 100 * CHUNK_BYTES)])
    reader, decoder, sequence = begin(source)
    sequence.note(reader, source.inodes[2], 0, CHUNK_BYTES)
    assert decoder.sent() == []
    sequence.note(reader, source.inodes[2], CHUNK_BYTES, CHUNK_BYTES)
    assert decoder.sent() == [b"2-2"]
    largest = 0
    for number in range(2, 20):
        decoder.batches.clear()  # all is decoded at once
        sequence.note(reader, source.inodes[2], number * CHUNK_BYTES, CHUNK_BYTES)
        largest = max(largest, *map(len, decoder.batches), 0)
    assert largest == REGION_BYTES // CHUNK_BYTES - 1


def test_large_reads_always_have_the_next_chunks_under_way() -> None:
    source = FakeTree([(1, 1, DIR, 0), (2, 1, FILE, 100 * CHUNK_BYTES)])
    reader, decoder, sequence = begin(source)
    for number in range(0, 60, 2):
        decoder.batches.clear()  # all is decoded at once
        sequence.note(reader, source.inodes[2], number * CHUNK_BYTES, 2 * CHUNK_BYTES)
        under_way = [block.id for block in decoder.slots]
        assert number < 6 or b"2-%d" % (number + 3) in under_way
    assert decoder.ahead_bytes >= REGION_BYTES


def test_a_huge_file_is_followed_only_once_it_is_read() -> None:
    source = FakeTree([(1, 1, DIR, 0), (2, 1, FILE, 1), (3, 1, FILE, 1),
                       (4, 1, FILE, WHOLE_BYTES + 1), (5, 1, FILE, 1)])  # fmt: skip
    reader, decoder, sequence = begin(source)
    for ino in (2, 3):
        sequence.note(reader, source.inodes[ino], 0, 4096)
    assert decoder.sent() == [b"5-0"]
    assert 4 not in reader.lists
    decoder.ahead_bytes = 0
    sequence.note(reader, source.inodes[4], 0, CHUNK_BYTES)
    assert decoder.sent()[1] == b"4-1"


@pytest.mark.parametrize("step", [-1, 2])
def test_reads_out_of_order_begin_nothing(step: int) -> None:
    source = FakeTree([(1, 1, DIR, 0), (2, 1, FILE, 100 * CHUNK_BYTES)])
    reader, decoder, sequence = begin(source)
    for number in range(50, 50 + 30 * step, step):
        sequence.note(reader, source.inodes[2], number % 100 * CHUNK_BYTES, 4096)
    assert decoder.sent() == []


def test_another_walk_is_followed_when_the_first_is_left() -> None:
    rows = [(1, 1, DIR, 0)] + [(ino, 1, FILE, 100) for ino in range(2, 1000)]
    source = FakeTree(rows)
    reader, decoder, sequence = begin(source)
    for ino in (2, 3):
        sequence.note(reader, source.inodes[ino], 0, 4096)
    first = decoder.sent()
    decoder.batches = [[]] * REGIONS
    for ino in range(900, 900 + PATIENCE):
        sequence.note(reader, source.inodes[ino], 0, 4096)
    assert first[0] == b"4-0"
    decoder.batches.clear()
    assert decoder.sent() == []
    sequence.note(reader, source.inodes[900 + PATIENCE], 0, 4096)
    assert decoder.sent()[0] == b"909-0"


def test_a_damaged_flist_does_not_fail_a_read() -> None:
    source = make_tree()
    reader, decoder, sequence = begin(source)
    source.is_damaged = True
    for ino in (5, 6, 7):
        sequence.note(reader, source.inodes[ino], 0, 4096)
    assert decoder.sent() == []


def test_a_cycle_of_directories_hangs_nothing() -> None:
    source = FakeTree([(1, 1, DIR, 0), (2, 3, DIR, 0), (3, 2, DIR, 0), (4, 3, FILE, 9),
                       (5, 3, FILE, 9)])  # fmt: skip
    reader, decoder, sequence = begin(source)
    for ino in (4, 5, 4, 5):
        sequence.note(reader, source.inodes[ino], 0, 4096)
    assert set(decoder.sent()) <= {b"4-0", b"5-0"}
