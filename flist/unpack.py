"""Restores a flist into a directory: folders first, files in parallel, then links and times.

A file appears under its name only when it is complete, so an interrupted run can be repeated: what
is there whole (same size, time and mode) is not fetched again.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flist.blocks import decode_into
from flist.errors import BlockError, BlockMissingError, FlistError, FormatError
from flist.heap import without_collector
from flist.model import CHUNK_BYTES, NO_META, ROOT_INO, Block, Inode, Meta
from flist.opening import AnyFlist, open_flist
from flist.restore import (
    ReadChunk,
    Restore,
    Rules,
    is_restored,
    link_name,
    make_folder,
    remove_scratch,
    restore_file,
    restore_link,
    restore_special,
    set_attributes,
)
from flist.session import Sources, check_routes, choose_routes, is_local, open_fetcher
from flist.workers import Worker, run_jobs

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from flist.fetch import Fetcher
    from flist.store.base import Store

BATCH_BYTES = 4 << 20
REMOTE_THREADS = 8
SPEED_OVERHEAD = 4096


class Result(NamedTuple):
    """What a worker did: bytes and what could not be restored."""

    size_bytes: int
    problems: list[str]
    broken: list[str]


class Summary(NamedTuple):
    """What an unpack did."""

    inodes: int
    size_bytes: int
    kept: int
    problems: list[str]
    broken: list[str]


class Restorer(Worker[int, Result]):
    """Writes batches of files; a job is a batch's number, since all were there before the fork."""

    def __init__(
        self, batches: Sequence[Sequence[Restore]], meta: Path, sources: Sources, rules: Rules
    ) -> None:
        self.batches = batches
        self.meta = meta
        self.sources = sources
        self.rules = rules
        self.fetcher: Fetcher | None = None
        self.read_chunk: ReadChunk | None = None
        self.pool: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Open the stores; remote ones are asked by several threads."""
        with open_flist(self.meta) as flist:
            self.fetcher = open_fetcher(flist, self.sources)
            routes = [] if self.sources.is_offline else choose_routes(flist, self.sources.stores)
        self.read_chunk = self.fetcher.load
        if not all(is_local(route) for route in routes):
            from concurrent.futures import ThreadPoolExecutor

            self.pool = ThreadPoolExecutor(REMOTE_THREADS)
        elif self.fetcher.store is not None and self.fetcher.cache is None:
            self.read_chunk = LocalReader(self.fetcher.store).read

    def work(self, job: int) -> Result:
        """Write every file of a batch."""
        batch = self.batches[job]
        done = self.pool.map(self.restore, batch) if self.pool else map(self.restore, batch)
        problems: list[str] = []
        broken: list[str] = []
        for item_problems, reason in done:
            problems += item_problems
            broken += [reason] if reason else []
        return Result(sum(item.inode.size for item in batch), problems, broken)

    def restore(self, item: Restore) -> tuple[list[str], str | None]:
        """Write one file; return what of it could not be restored, and why there is none at all."""
        assert self.read_chunk is not None
        try:
            return restore_file(item, self.read_chunk, self.rules), None
        except (FormatError, BlockError, BlockMissingError) as error:
            return [], f"{os.fsdecode(item.path)}: {error.message}"
        except OSError as error:
            name = os.fsdecode(item.path)
            raise FlistError(f"cannot write {name}: {error.strerror}") from error

    def close(self) -> None:
        """Close the stores."""
        if self.pool is not None:
            self.pool.shutdown()
        assert self.fetcher is not None
        self.fetcher.close()


class LocalReader:
    """Plain chunks from a folder of this machine, one after the other in the same memory."""

    def __init__(self, store: "Store") -> None:
        self.store = store
        self.buffer = memoryview(bytearray(CHUNK_BYTES))

    def read(self, block: Block, size: int) -> memoryview:
        """Return a chunk, which the next call overwrites."""
        chunk = self.buffer[:size]
        decode_into(block, self.store.get(block.id), chunk)
        return chunk


class Plan(NamedTuple):
    """The entries of a flist by how they are restored; folders come before what is in them."""

    folders: list[Restore]
    files: list[Restore]
    names: list[tuple[bytes, Restore]]
    others: list[Restore]

    def size(self) -> int:
        """Return how many entries there are."""
        return len(self.folders) + len(self.files) + len(self.names) + len(self.others)


def make_plan(flist: AnyFlist, root: bytes) -> Plan:
    """Return what to restore below `root`, from the root inode down."""
    metas = flist.all_meta()
    blocks: dict[int, list[Block]] = {}
    for ino, block in flist.all_blocks():
        blocks.setdefault(ino, []).append(block)
    children: dict[int, list[Inode]] = {}
    for inode in flist.inodes():
        if inode.ino != ROOT_INO:
            children.setdefault(inode.parent, []).append(inode)
    top = flist.inode(ROOT_INO)
    assert top is not None
    plan = Plan([Restore(root, top, metas.get(ROOT_INO, NO_META))], [], [], [])
    paths: dict[int, bytes] = {}
    for folder in plan.folders:  # grows while we walk
        for inode in unique_names(children.get(folder.inode.ino, ()), folder.path):
            path = folder.path + b"/" + inode.name
            paths[inode.ino] = path
            place(plan, inode, path, metas.get(inode.content_ino, NO_META), blocks, paths)
    return plan


def place(
    plan: Plan,
    inode: Inode,
    path: bytes,
    meta: Meta,
    blocks: dict[int, list[Block]],
    paths: dict[int, bytes],
) -> None:
    """Put one entry into the part of the plan that it belongs to."""
    if inode.is_dir:
        plan.folders.append(Restore(path, inode, meta))
    elif inode.same_as:
        if inode.same_as not in paths:
            raise FormatError(f"inode {inode.ino} is another name of an inode that comes later")
        plan.names.append((paths[inode.same_as], Restore(path, inode, meta)))
    elif inode.is_file:
        plan.files.append(Restore(path, inode, meta, blocks.get(inode.ino, ())))
    else:
        plan.others.append(Restore(path, inode, meta))


def unique_names(children: Sequence[Inode], folder: bytes) -> Iterator[Inode]:
    """Give the entries of one directory; two of one name would overwrite each other."""
    seen = set()
    for inode in children:
        if inode.name in seen:
            raise FormatError(f"{os.fsdecode(folder)} holds {inode.name!r} twice")
        seen.add(inode.name)
        yield inode


@without_collector()
def unpack(
    meta: Path,
    root: Path,
    sources: Sources,
    *,
    is_owner_kept: bool = False,
    processes: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Restore the flist `meta` into the directory `root`, which is made if it is not there.

    `progress(done, total)` is called with bytes. Raises `FlistError`; what was complete stays.
    """
    rules = Rules(is_owner_kept)
    try:
        with open_flist(meta) as flist:
            check_routes(flist, sources)
            plan = make_plan(flist, os.fsencode(root.resolve()))
        root.mkdir(parents=True, exist_ok=True)
        is_fresh = not any(root.iterdir())
        remove_scratch(plan.folders[0].path)
        for folder in plan.folders[1:]:
            make_folder(folder.path)
        missing = [item for item in plan.files if is_fresh or not is_restored(item)]
        restorer = Restorer(make_batches(missing), meta, sources, rules)
        problems, broken = restore_files(restorer, processes, progress)
        problems += restore_rest(plan, rules)
    except OSError as error:
        place = os.fsdecode(error.filename or root)
        raise FlistError(f"cannot unpack: {place}: {error.strerror}") from error
    entries = plan.size()
    size = sum(item.inode.size for item in missing)
    return Summary(entries, size, len(plan.files) - len(missing), problems, broken)


def restore_files(
    restorer: Restorer,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[str], list[str]]:
    """Write all files; return what of them could not be restored, and which are broken."""
    total = sum(item.inode.size for batch in restorer.batches for item in batch)
    done = 0
    problems: list[str] = []
    broken: list[str] = []
    for result in run_jobs(range(len(restorer.batches)), restorer, processes):
        done += result.size_bytes
        problems += result.problems
        broken += result.broken
        if progress is not None:
            progress(done, total)
    return problems, broken


def make_batches(files: Sequence[Restore]) -> list[list[Restore]]:
    """Return the files in batches of about `BATCH_BYTES`, largest first."""
    batches: list[list[Restore]] = []
    left = 0
    for item in sorted(files, key=lambda item: -item.inode.size):
        if left <= 0:
            batches.append([])
            left = BATCH_BYTES
        batches[-1].append(item)
        left -= item.inode.size + SPEED_OVERHEAD
    return batches


def restore_rest(plan: Plan, rules: Rules) -> list[str]:
    """Make links, devices and second names; then complete the folders, deepest first."""
    problems: list[str] = []
    for item in plan.others:
        make = restore_link if item.inode.is_link else restore_special
        problems += make(item, rules)
    for first, item in plan.names:
        if os.path.lexists(first):
            link_name(first, item)
    for item in reversed(plan.folders):
        problems += set_attributes(item.path, item, rules)
    return problems
