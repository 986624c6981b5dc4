"""Restores files in each worker process: keeps those that are right, and writes the others."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

from flist.blocks.codec import decode_into
from flist.errors import BlockError, BlockMissingError, FlistError, FormatError
from flist.folders import Folders, Near
from flist.model import CHUNK_BYTES, Block, Route
from flist.pack.workers import Worker
from flist.store.sources import Sources, is_local, route_fetcher
from flist.unpack.entries import UNFIT, OccupiedError, ReadChunk, make_file
from flist.unpack.plan import Entry
from flist.unpack.present import has_content, open_present
from flist.unpack.properties import Rules, is_set

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from flist.store.fetch import Fetcher

REMOTE_THREADS = 8


class Outcome(NamedTuple):
    """The result of one file or several: how many were `kept` as they were, the bytes of the
    others, the `problems` with their properties, and why some are `broken`: not written at all."""

    kept: int
    size_bytes: int
    problems: Sequence[str] = ()
    broken: Sequence[str] = ()


def add_up(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the sum of results."""
    kept = size = 0
    problems: list[str] = []
    broken: list[str] = []
    for outcome in outcomes:
        kept += outcome.kept
        size += outcome.size_bytes
        problems += outcome.problems
        broken += outcome.broken
    return Outcome(kept, size, problems, broken)


class FileWorker(Worker[int, tuple[int, Outcome]]):
    """Restores batches of files. A job is the index of a batch: the fork has copied them all.

    `shared` has the inode numbers of files that cannot be kept, because on disk they are names of
    other files.
    """

    def __init__(
        self,
        batches: Sequence[Sequence[Entry]],
        shared: AbstractSet[int],
        routes: Sequence[Route],
        sources: Sources,
        rules: Rules,
        folders: Folders,
    ) -> None:
        self.batches = batches
        self.shared = shared
        self.routes = routes
        self.sources = sources
        self.rules = rules
        self.folders = folders
        self.fetcher: Fetcher | None = None
        self.read_chunk: ReadChunk | None = None
        self.pool: ThreadPoolExecutor | None = None
        self.near: Near | None = None
        self.is_over = False

    def open(self) -> None:
        """Open the stores; start threads if some are remote."""
        self.fetcher = route_fetcher(self.routes, self.sources)
        self.read_chunk = self.load
        if not all(is_local(route) for route in self.routes):
            from concurrent.futures import ThreadPoolExecutor

            self.pool = ThreadPoolExecutor(REMOTE_THREADS)
            return
        self.near = Near(self.folders)
        if self.fetcher.store is not None and self.fetcher.cache is None:
            self.read_chunk = LocalReader(self.fetcher).read

    def load(self, block: Block, size: int) -> bytes:
        """Return a chunk. Raises `FlistError` after `give_up`, so that a thread that starts a file
        just then removes it again."""
        if self.is_over:
            raise FlistError("cannot go on: the unpack was given up")
        assert self.fetcher is not None
        return self.fetcher.load(block, size)

    def work(self, job: int) -> tuple[int, Outcome]:
        """Restore the files of a batch; return the sum of their sizes, and the result."""
        batch = self.batches[job]
        done = self.pool.map(self.restore, batch) if self.pool else map(self.restore, batch)
        return sum(entry.inode.size for entry in batch), add_up(done)

    def restore(self, entry: Entry) -> Outcome:
        """Restore one file; raises `FlistError` for what must end the unpack."""
        size = entry.inode.size
        try:
            if self.rules.is_clean:
                return Outcome(0, size, self.make(entry))
            with open_present(self.folders, entry.path) as present:
                if present is not None and self.is_whole(present, entry):
                    return Outcome(1, 0)
                return Outcome(0, size, self.make(entry, present))
        except (FormatError, BlockError, BlockMissingError) as error:
            return Outcome(0, 0, broken=[f"{self.folders.show(entry.path)}: {error.message}"])
        except OccupiedError as error:
            return Outcome(0, 0, broken=[error.message])
        except OSError as error:
            name = self.folders.show(entry.path)
            if error.errno in UNFIT:
                return Outcome(0, 0, broken=[f"{name}: {error.strerror}"])
            raise FlistError(f"cannot write {name}: {error.strerror}") from error

    def make(self, entry: Entry, present: int | None = None) -> list[str]:
        """Write a file; return what could not be set."""
        assert self.read_chunk is not None
        return make_file(self.folders, entry, self.read_chunk, self.rules, present, self.near)

    def is_whole(self, present: int, entry: Entry) -> bool:
        """Return whether an open file is as the flist says. Compares the content last: it takes
        longest."""
        return (
            entry.inode.ino not in self.shared
            and is_set(present, entry, self.rules)
            and has_content(present, entry.inode.size, entry.blocks, entry.meta.extents)
        )

    def close(self) -> None:
        """Close the stores."""
        if self.near is not None:
            self.near.close()
        if self.pool is not None:
            self.pool.shutdown()
        assert self.fetcher is not None
        self.fetcher.close()

    def give_up(self) -> None:
        """Close the stores without waiting for threads that they block."""
        self.is_over = True
        if self.near is not None:
            self.near.close()
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
        if self.fetcher is not None:
            self.fetcher.close()


class LocalReader:
    """Reads chunks from a local store into one buffer."""

    def __init__(self, fetcher: "Fetcher") -> None:
        self.fetcher = fetcher
        self.buffer = memoryview(bytearray(CHUNK_BYTES))

    def read(self, block: Block, size: int) -> memoryview:
        """Return a chunk, valid until the next call."""
        chunk = self.buffer[:size]
        decode_into(block, self.fetcher.get_packed(block), chunk)
        return chunk
