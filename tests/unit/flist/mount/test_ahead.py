"""Fetching ahead: what, how much, failures and the end."""

import threading
from pathlib import Path

from flist.blocks.codec import Encoded, encode
from flist.errors import FormatError, StoreUnavailableError
from flist.model import CHUNK_BYTES, NO_META, Block, Inode, Meta
from flist.mount.ahead.ahead import LARGE_THREADS, SMALL_BATCH, SMALL_THREADS, WHOLE_BYTES, Ahead
from flist.mount.ahead.neighbours import SMALL_BYTES
from flist.mount.ahead.pool import MAX_WAITING
from flist.mount.reader import Reader
from flist.mount.tree import Tree
from flist.store.cache import BlockCache
from flist.store.fetch import Fetcher
from tests.helpers.waiting import wait_until


def make_file(ino: int, size: int) -> Inode:
    """Return a file of the root directory."""
    return Inode(ino, 1, b"file-%d" % ino, size, 0, 0, 0o100644, 0, 0, 0)


class FakeTree:
    """A directory of files, and the store of their blocks."""

    def __init__(self, plains: dict[int, list[bytes]]) -> None:
        self.root = Inode(1, 0, b"/", 4096, 0, 0, 0o40755, 0, 0, 0)
        self.files = [make_file(ino, sum(map(len, plain))) for ino, plain in plains.items()]
        self.encoded: dict[int, list[Encoded]] = {
            ino: [encode(chunk) for chunk in plain] for ino, plain in plains.items()
        }
        self.asked: list[bytes] = []
        self.broken = False
        self.is_damaged = False
        self.gate = threading.Event()
        self.gate.set()

    def inode(self, ino: int) -> Inode | None:
        return next((inode for inode in (self.root, *self.files) if inode.ino == ino), None)

    def children(self, ino: int) -> list[Inode]:
        if self.is_damaged:
            raise FormatError("the directory is damaged")
        return self.files if ino == 1 else []

    def blocks(self, ino: int) -> list[Block]:
        return [encoded.block for encoded in self.encoded[ino]]

    def meta(self, ino: int) -> Meta:
        del ino
        return NO_META

    def block_rows(self, _ino: int) -> range | None:
        return None

    def blocks_between(self, _ino: int, _rows: range, _first: int) -> list[Block]:
        raise AssertionError

    def large_folders(self) -> set[int]:
        return set()

    def entries_after(self, _folder: int, _ino: int, _limit: int) -> list[Inode]:
        raise AssertionError

    def child(self, _folder: int, _name: bytes) -> Inode | None:
        raise AssertionError

    def is_large(self, _folder: int) -> bool:
        return False

    def parts(self, _block_id: bytes) -> bytes | None:
        return None

    def small_blocks(self, _folder: int, _start: int) -> dict[int, Block]:
        return {}

    def folder_counts(self) -> dict[int, int]:
        return {}

    def totals(self) -> tuple[int, int]:
        return len(self.files), 0

    def data_bytes(self) -> dict[int, int]:
        return {}

    def xattr_names(self) -> set[bytes]:
        return set()

    def get(self, block_id: bytes) -> bytes:
        self.asked.append(block_id)
        self.gate.wait(60)
        if self.broken:
            raise StoreUnavailableError("the store is down")
        all_encoded = [one for several in self.encoded.values() for one in several]
        return next(one.data for one in all_encoded if one.block.id == block_id)

    def put(self, block_id: bytes, data: bytes) -> None:
        raise AssertionError((block_id, data))

    def has(self, block_id: bytes) -> bool:
        raise AssertionError(block_id)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def make_reader(tree: FakeTree) -> Reader:
    """Return a reader whose store is remote."""
    return Reader(Tree(tree), Fetcher(tree, None))


def read_now(reader: Reader, inode: Inode) -> bytes:
    """Return the content of a file, which must be here already."""
    pieces = reader.read_now(inode, inode.size, 0)
    assert pieces is not None
    return b"".join(pieces)


def test_all_of_a_program_is_fetched(tmp_path: Path) -> None:
    chunks = [bytes([number]) * CHUNK_BYTES for number in (1, 2)] + [b"the end"]
    tree = FakeTree({2: chunks, 3: [b"its neighbour"]})
    ahead = Ahead()
    reader = Reader(Tree(tree), Fetcher(tree, BlockCache(tmp_path / "cache")))
    for _ in range(2):  # once for each file
        ahead.note(reader, tree.files[0])
    wait_until(lambda: len(reader.fetcher.chunks) == 3, "all chunks")
    assert read_now(reader, tree.files[0]) == b"".join(chunks)
    assert len(tree.asked) == 3
    ahead.close()


def test_nothing_is_fetched_of_a_large_file_or_without_a_cache(tmp_path: Path) -> None:
    tree = FakeTree({2: [bytes(CHUNK_BYTES), b"the end"]})
    ahead = Ahead()
    ahead.note(make_reader(tree), tree.files[0])
    reader = Reader(Tree(tree), Fetcher(tree, BlockCache(tmp_path / "cache")))
    ahead.note(reader, make_file(2, WHOLE_BYTES + 1))
    assert threads_of(ahead) == 0


def test_the_neighbours_of_a_small_file_are_fetched() -> None:
    tree = FakeTree({ino: [b"%d " % ino * 50] for ino in range(2, 7)})
    ahead = Ahead()
    reader = make_reader(tree)
    noted: list[tuple[int, int]] = []
    reader.note = lambda ino, index: noted.append((ino, index))
    for _ in range(2):  # once for each directory
        ahead.note(reader, tree.files[1])
    wait_until(lambda: len(reader.fetcher.chunks) == 4, "neighbours")
    assert noted == []
    for ino in (2, 4, 5, 6):
        assert read_now(reader, tree.files[ino - 2]) == b"%d " % ino * 50
    assert len(tree.asked) == 4
    ahead.close()


def test_no_neighbours_of_a_large_file_are_fetched() -> None:
    tree = FakeTree({2: [b"a" * (SMALL_BYTES + 1)], 3: [b"b" * 100]})
    ahead = Ahead()
    ahead.note(make_reader(tree), tree.files[0])
    assert threads_of(ahead) == 0


def test_a_failure_is_silent_and_a_read_fetches_again() -> None:
    tree = FakeTree({2: [b"a" * 100], 3: [b"b" * 100]})
    tree.broken = True
    ahead = Ahead()
    reader = make_reader(tree)
    ahead.note(reader, tree.files[0])
    wait_until(lambda: tree.asked and not reader.fetcher.running, "the failure")
    tree.broken = False
    assert reader.read(tree.files[1], 4096, 0) == b"b" * 100
    assert len(tree.asked) == 2
    ahead.close()


def test_a_guess_and_a_read_share_one_fetch() -> None:
    tree = FakeTree({2: [b"a" * 100], 3: [b"b" * 100]})
    tree.gate.clear()
    ahead = Ahead()
    reader = make_reader(tree)
    ahead.note(reader, tree.files[0])
    wait_until(lambda: tree.asked, "the fetch of the guess")
    assert reader.read_now(tree.files[1], 4096, 0) is None
    threading.Timer(0.05, tree.gate.set).start()
    assert reader.read(tree.files[1], 4096, 0) == b"b" * 100
    assert len(tree.asked) == 1
    ahead.close()


def test_a_stalled_store_neither_grows_the_queue_nor_delays_the_end() -> None:
    tree = FakeTree({ino: [b"%d" % ino] for ino in range(2, MAX_WAITING + 100)})
    tree.gate.clear()
    ahead = Ahead()
    ahead.note(make_reader(tree), tree.files[0])
    wait_until(lambda: len(tree.asked) == SMALL_THREADS, "every thread at work")
    assert threads_of(ahead) == SMALL_THREADS
    assert len(ahead.small.waiting) <= MAX_WAITING
    ahead.close()
    assert len(working()) >= SMALL_THREADS  # `close` has not waited for them
    tree.gate.set()
    wait_until(lambda: not working(), "the end")
    assert len(tree.asked) <= SMALL_THREADS * SMALL_BATCH


def threads_of(ahead: Ahead) -> int:
    """Return the number of threads that were started."""
    return SMALL_THREADS + LARGE_THREADS - ahead.small.threads_left - ahead.large.threads_left


def working() -> list[str]:
    """Return the names of the threads that fetch ahead."""
    return [thread.name for thread in threading.enumerate() if "(work)" in thread.name]


def test_a_directory_that_cannot_be_listed_does_not_fail_the_read() -> None:
    tree = FakeTree({2: [b"a" * 100]})
    ahead = Ahead()
    reader = make_reader(tree)
    tree.is_damaged = True
    ahead.note(reader, tree.files[0])
    wait_until(lambda: not ahead.small.waiting, "the guess to begin")
    ahead.close()
    wait_until(lambda: not working(), "the end")
    assert tree.asked == []


def test_the_interpreter_of_a_program_is_fetched(tmp_path: Path) -> None:
    """Without another read, and with the interpreter's own interpreter."""
    tree = FakeTree({2: [b"#!/file-3\n"], 3: [b"#!/file-4\n"], 4: [b"#!/file-2"], 5: [b"no"]})
    tree.files = [file._replace(mode=0o100755) for file in tree.files]
    ahead = Ahead()
    reader = Reader(Tree(tree), Fetcher(tree, BlockCache(tmp_path / "cache")))
    ahead.note(reader, tree.files[0])
    wait_until(lambda: len(reader.fetcher.chunks) == 3, "the interpreters")
    ahead.close()
    assert len(tree.asked) == 3


def test_a_trace_is_fetched(tmp_path: Path) -> None:
    tree = FakeTree({2: [b"a" * 100], 3: [bytes(CHUNK_BYTES), b"end"], 4: [b"b" * 100]})
    trace = tmp_path / "trace"
    trace.write_text("4 0\n3 1\n99 0\n2 7\n1 0\nnonsense\n2 0\n3 0")
    ahead = Ahead()
    reader = make_reader(tree)
    ahead.replay(reader, trace)
    wait_until(lambda: len(reader.fetcher.chunks) == 3, "the trace")
    ahead.close()
    assert reader.fetcher.chunks.keys() == {
        tree.encoded[4][0].block,
        tree.encoded[3][1].block,
        tree.encoded[2][0].block,
    }


def test_a_mount_without_a_store_guesses_nothing() -> None:
    tree = FakeTree({2: [b"a" * 100], 3: [b"b" * 100]})
    ahead = Ahead()
    reader = Reader(Tree(tree), Fetcher(None, None))
    ahead.note(reader, tree.files[0])
    ahead.connect(reader)
    assert threads_of(ahead) == 0
