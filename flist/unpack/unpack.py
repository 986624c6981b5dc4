"""Unpacks a flist into a directory: directories first, files in parallel, then links and times.

A file gets its name only when it is complete, so an interrupted unpack can be repeated. A file that
exists already is kept if its properties and its content are right. Otherwise it is written anew,
from its own chunks where they are right, and from fetched ones. What the flist does not have is
left alone.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from flist.blocks.collector import without_collector
from flist.errors import FlistError
from flist.format.opening import open_flist
from flist.pack.workers import run_jobs
from flist.store.sources import Sources, check_routes
from flist.unpack.entries import (
    OccupiedError,
    make_folder,
    make_link,
    make_name,
    make_special,
    remove_scratch,
)
from flist.unpack.plan import Entry, Plan, find_shared, make_batches, make_plan
from flist.unpack.properties import Rules, find_foreign, is_set, set_properties
from flist.unpack.worker import FileWorker, Outcome, add_up


class Summary(NamedTuple):
    """What an unpack did."""

    inodes: int
    size_bytes: int
    kept: int
    problems: list[str]
    broken: list[str]


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
    """Restore the flist `meta` into the directory `root`, which is made if it does not exist.

    Calls `progress(done, total)` with numbers of bytes. Raises `FlistError`; complete entries stay.
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
        worker = FileWorker(make_batches(plan.files), shared, meta, sources, rules)
        with no_scratch_after_error(plan.folders):
            files = restore_files(worker, processes, progress)
            done = add_up([files, restore_rest(plan, rules)])
    except OSError as error:
        place = os.fsdecode(error.filename or root)
        raise FlistError(f"cannot unpack: {place}: {error.strerror}") from error
    return Summary(plan.size(), done.size_bytes, done.kept, [*done.problems], [*done.broken])


@contextlib.contextmanager
def no_scratch_after_error(folders: Sequence[Entry]) -> Iterator[None]:
    """Remove scratch files from `folders` if the block raises: threads that wait for a store, and
    killed processes, leave theirs."""
    try:
        yield
    except BaseException:
        for folder in folders:
            with contextlib.suppress(OSError):
                remove_scratch(folder.path)
        raise


def is_clean(root: Path) -> bool:
    """Return whether a directory is empty and has no extended attributes."""
    return not any(root.iterdir()) and not find_foreign(os.fsencode(root))


def restore_files(
    worker: FileWorker,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> Outcome:
    """Restore all files in worker processes."""
    total = sum(entry.inode.size for batch in worker.batches for entry in batch)
    done = 0
    outcomes = []
    with contextlib.closing(run_jobs(range(len(worker.batches)), worker, processes)) as results:
        for size, outcome in results:
            outcomes.append(outcome)
            done += size
            if progress is not None:
                progress(done, total)
    return add_up(outcomes)


def restore_rest(plan: Plan, rules: Rules) -> Outcome:
    """Make links, special files and further names; then set the properties of directories, deepest
    first."""
    problems: list[str] = []
    broken: list[str] = []
    for entry in plan.others:
        make = make_link if entry.inode.is_link else make_special
        try:
            problems += make(entry, rules)
        except OccupiedError as error:
            broken.append(error.message)
    for first, entry in plan.names:
        try:
            make_name(first, entry)
        except OccupiedError as error:
            broken.append(error.message)
    for entry in reversed(plan.folders):
        if rules.is_clean or not is_set(entry.path, entry, rules):
            problems += set_properties(entry.path, entry, rules)
    return Outcome(0, 0, problems, broken)
