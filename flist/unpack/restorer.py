"""Restores files in worker processes: keeps what is right, and writes the rest."""

import os
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flist.blocks.codec import decode_into
from flist.errors import BlockError, BlockMissingError, FlistError, FormatError
from flist.format.opening import open_flist
from flist.model import CHUNK_BYTES, Block
from flist.pack.workers import Worker
from flist.store.sources import Sources, choose_routes, is_local, open_fetcher
from flist.unpack.present import has_content, open_present
from flist.unpack.properties import Restore, Rules, is_set
from flist.unpack.restore import OccupiedError, ReadChunk, restore_file

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from flist.store.fetch import Fetcher

REMOTE_THREADS = 8


class Outcome(NamedTuple):
    """What was done about one file, or several: how many were kept as they are, the bytes of the
    others, what of them could not be restored, and why some could not be written at all."""

    kept: int
    size_bytes: int
    problems: Sequence[str] = ()
    broken: Sequence[str] = ()


def add_up(outcomes: Iterable[Outcome]) -> Outcome:
    """Return what was done in all."""
    kept = size = 0
    problems: list[str] = []
    broken: list[str] = []
    for outcome in outcomes:
        kept += outcome.kept
        size += outcome.size_bytes
        problems += outcome.problems
        broken += outcome.broken
    return Outcome(kept, size, problems, broken)


class Restorer(Worker[int, tuple[int, Outcome]]):
    """Writes batches of files; a job is a batch's number, since all were there before the fork.
    `shared` has the inode numbers of files that must not stay, since they are names of others."""

    def __init__(
        self,
        batches: Sequence[Sequence[Restore]],
        shared: AbstractSet[int],
        meta: Path,
        sources: Sources,
        rules: Rules,
    ) -> None:
        self.batches = batches
        self.shared = shared
        self.meta = meta
        self.sources = sources
        self.rules = rules
        self.fetcher: Fetcher | None = None
        self.read_chunk: ReadChunk | None = None
        self.pool: ThreadPoolExecutor | None = None
        self.is_over = False

    def open(self) -> None:
        """Open the stores; remote ones are asked by several threads."""
        with open_flist(self.meta) as flist:
            self.fetcher = open_fetcher(flist, self.sources)
            routes = [] if self.sources.is_offline else choose_routes(flist, self.sources.stores)
        self.read_chunk = self.load
        if not all(is_local(route) for route in routes):
            from concurrent.futures import ThreadPoolExecutor

            self.pool = ThreadPoolExecutor(REMOTE_THREADS)
        elif self.fetcher.store is not None and self.fetcher.cache is None:
            self.read_chunk = LocalReader(self.fetcher).read

    def load(self, block: Block, size: int) -> bytes:
        """Return a chunk. After `give_up` it raises `FlistError`, so that a thread which begins a
        file just then takes it back."""
        if self.is_over:
            raise FlistError("cannot go on: it was given up")
        assert self.fetcher is not None
        return self.fetcher.load(block, size)

    def work(self, job: int) -> tuple[int, Outcome]:
        """Write every file of a batch; return their bytes, too."""
        batch = self.batches[job]
        done = self.pool.map(self.restore, batch) if self.pool else map(self.restore, batch)
        return sum(item.inode.size for item in batch), add_up(done)

    def restore(self, item: Restore) -> Outcome:
        """See to it that one file is there."""
        assert self.read_chunk is not None
        size = item.inode.size
        try:
            if self.rules.is_clean:
                return Outcome(0, size, restore_file(item, self.read_chunk, self.rules))
            with open_present(item.path) as present:
                if present is not None and self.is_whole(present, item):
                    return Outcome(1, 0)
                problems = restore_file(item, self.read_chunk, self.rules, present)
                return Outcome(0, size, problems)
        except (FormatError, BlockError, BlockMissingError) as error:
            return Outcome(0, 0, broken=[f"{os.fsdecode(item.path)}: {error.message}"])
        except OccupiedError as error:
            return Outcome(0, 0, broken=[error.message])
        except OSError as error:
            name = os.fsdecode(item.path)
            raise FlistError(f"cannot write {name}: {error.strerror}") from error

    def is_whole(self, present: int, item: Restore) -> bool:
        """Whether an open file is all that the flist says, content last: that takes longest."""
        return (
            item.inode.ino not in self.shared
            and is_set(present, item, self.rules)
            and has_content(present, item.inode.size, item.blocks, item.meta.extents)
        )

    def close(self) -> None:
        """Close the stores."""
        if self.pool is not None:
            self.pool.shutdown()
        assert self.fetcher is not None
        self.fetcher.close()

    def give_up(self) -> None:
        """Close the stores; whom they hold up is left alone."""
        self.is_over = True
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
        if self.fetcher is not None:
            self.fetcher.close()


class LocalReader:
    """Plain chunks from a folder of this machine, one after the other in the same memory."""

    def __init__(self, fetcher: "Fetcher") -> None:
        self.fetcher = fetcher
        self.buffer = memoryview(bytearray(CHUNK_BYTES))

    def read(self, block: Block, size: int) -> memoryview:
        """Return a chunk, which the next call overwrites."""
        chunk = self.buffer[:size]
        decode_into(block, self.fetcher.get_packed(block), chunk)
        return chunk
