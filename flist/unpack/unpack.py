"""Restores a flist into a directory: folders first, files in parallel, then links and times.

A file appears under its name only when it is complete, so an interrupted run can be repeated. What
is there already is compared in everything, its content with the blocks' keys: a file stays if all
of it is right, and else is written anew, with those of its chunks that are right and the others
fetched. What the flist does not have stays.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from flist.blocks.collector import without_collector
from flist.errors import FlistError, FormatError
from flist.format.opening import AnyFlist, open_flist
from flist.model import NO_META, ROOT_INO, Block, Inode, Meta
from flist.pack.workers import run_jobs
from flist.store.sources import Sources, check_routes
from flist.unpack.properties import Restore, Rules, find_foreign, is_set, set_properties
from flist.unpack.restore import (
    OccupiedError,
    link_name,
    make_folder,
    remove_scratch,
    restore_link,
    restore_special,
)
from flist.unpack.restorer import Outcome, Restorer, add_up

BATCH_BYTES = 4 << 20
SPEED_OVERHEAD = 4096


class Summary(NamedTuple):
    """What an unpack did."""

    inodes: int
    size_bytes: int
    kept: int
    problems: list[str]
    broken: list[str]


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
    try:
        with open_flist(meta) as flist:
            check_routes(flist, sources)
            plan = make_plan(flist, os.fsencode(root.resolve()))
        root.mkdir(parents=True, exist_ok=True)
        rules = Rules(is_owner_kept, is_clean(root))
        remove_scratch(plan.folders[0].path)
        for folder in plan.folders[1:]:
            make_folder(folder.path)
        shared = frozenset() if rules.is_clean else find_shared(plan.files)
        restorer = Restorer(make_batches(plan.files), shared, meta, sources, rules)
        with undone_at_error(plan.folders):
            files = restore_files(restorer, processes, progress)
            done = add_up([files, restore_rest(plan, rules)])
    except OSError as error:
        place = os.fsdecode(error.filename or root)
        raise FlistError(f"cannot unpack: {place}: {error.strerror}") from error
    return Summary(plan.size(), done.size_bytes, done.kept, [*done.problems], [*done.broken])


@contextlib.contextmanager
def undone_at_error(folders: Sequence[Restore]) -> Iterator[None]:
    """Remove what is half written in `folders` if the block ends by an error: threads that wait for
    a store, and processes that were ended, leave it there."""
    try:
        yield
    except BaseException:
        for folder in folders:
            with contextlib.suppress(OSError):
                remove_scratch(folder.path)
        raise


def is_clean(root: Path) -> bool:
    """Whether a directory is empty and has no attributes."""
    return not any(root.iterdir()) and not find_foreign(os.fsencode(root))


def find_shared(files: Sequence[Restore]) -> frozenset[int]:
    """Return the numbers of files that are on disk another name of one before them, as they may
    have been in an older version."""
    seen = set()
    shared = set()
    for item in files:
        with contextlib.suppress(OSError):
            status = os.lstat(item.path)
            if status.st_nlink > 1:
                place = status.st_dev, status.st_ino
                if place in seen:
                    shared.add(item.inode.ino)
                seen.add(place)
    return frozenset(shared)


def restore_files(
    restorer: Restorer,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> Outcome:
    """Write all files."""
    total = sum(item.inode.size for batch in restorer.batches for item in batch)
    done = 0
    outcomes = []
    with contextlib.closing(run_jobs(range(len(restorer.batches)), restorer, processes)) as results:
        for size, outcome in results:
            outcomes.append(outcome)
            done += size
            if progress is not None:
                progress(done, total)
    return add_up(outcomes)


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


def restore_rest(plan: Plan, rules: Rules) -> Outcome:
    """Make links, devices and second names; then complete the folders, deepest first."""
    problems: list[str] = []
    broken: list[str] = []
    for item in plan.others:
        make = restore_link if item.inode.is_link else restore_special
        try:
            problems += make(item, rules)
        except OccupiedError as error:
            broken.append(error.message)
    for first, item in plan.names:
        try:
            link_name(first, item)
        except OccupiedError as error:
            broken.append(error.message)
    for item in reversed(plan.folders):
        if rules.is_clean or not is_set(item.path, item, rules):
            problems += set_properties(item.path, item, rules)
    return Outcome(0, 0, problems, broken)
