"""Unpacks a flist into a directory: directories first, files in parallel, then links and times.

A file gets its name only when it is complete, so an interrupted unpack can be repeated. A file that
exists already is kept if its properties and its content are right. Otherwise it is written anew,
from its own chunks where they are right, and from fetched ones. What the flist does not have is
left alone.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flist.blocks.collector import without_collector
from flist.errors import FlistError
from flist.folders import Folders
from flist.format.opening import open_flist
from flist.format.sqlitefile import Check
from flist.model import Route
from flist.pack.workers import run_jobs
from flist.store.sources import Sources, wanted_routes
from flist.unpack.entries import (
    UNFIT,
    OccupiedError,
    is_shut,
    make_folder,
    make_link,
    make_name,
    make_special,
    named,
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
    check: Check | None = None,
) -> Summary:
    """Restore the flist `meta` into the directory `root`, which is made if it does not exist.

    `check` is that of `open_flist`. Calls `progress(done, total)` with numbers of bytes.
    Raises `FlistError`; complete entries stay.
    """
    try:
        with open_flist(meta, check) as flist:
            routes = wanted_routes(flist, sources)
            plan = make_plan(flist, b"")
        root = root.resolve()
        root.mkdir(parents=True, exist_ok=True)
        with Folders(root) as folders:
            done = restore(plan, folders, routes, sources, is_owner_kept, processes, progress)
    except OSError as error:
        place = os.fsdecode(error.filename or root)
        raise FlistError(f"cannot unpack: {place}: {error.strerror}") from error
    broken = list(dict.fromkeys(done.broken))
    return Summary(plan.size(), done.size_bytes, done.kept, [*done.problems], broken)


def restore(
    plan: Plan,
    folders: Folders,
    routes: Sequence[Route],
    sources: Sources,
    is_owner_kept: bool,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> Outcome:
    """Restore all entries below an open directory."""
    rules = Rules(is_owner_kept, is_clean(folders.top))
    status = os.fstat(folders.top)
    if is_shut(status):
        os.fchmod(folders.top, stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
    remove_scratch(folders.top)
    broken = []
    for entry in plan.folders[1:]:
        broken += attempt(folders, entry, partial(make_folder, folders, entry.path))
    shared = frozenset() if rules.is_clean else find_shared(plan.files, folders)
    worker = FileWorker(make_batches(plan.files), shared, routes, sources, rules, folders)
    with no_scratch_after_error(plan.folders, folders):
        files = restore_files(worker, processes, progress)
        return add_up([Outcome(0, 0, (), broken), files, restore_rest(plan, rules, folders)])


def attempt(folders: Folders, entry: Entry, make: Callable[[], None]) -> list[str]:
    """Call `make`; return why an entry cannot be made here, or nothing."""
    try:
        make()
    except OccupiedError as error:
        return [error.message]
    except OSError as error:
        if error.errno not in UNFIT | {errno.EPERM}:
            raise
        return [f"{folders.show(entry.path)}: {error.strerror}"]
    return []


@contextlib.contextmanager
def no_scratch_after_error(entries: Sequence[Entry], folders: Folders) -> Iterator[None]:
    """Remove scratch files from the directories `entries` if the block raises: threads that wait
    for a store, and killed processes, leave theirs."""
    try:
        yield
    except BaseException:
        for entry in entries:
            with contextlib.suppress(OSError), folders.opened(entry.path) as handle:
                remove_scratch(handle)
        raise


def is_clean(folder: int) -> bool:
    """Return whether a directory is empty and has no extended attributes."""
    return not os.listdir(folder) and not find_foreign(folder)


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


def restore_rest(plan: Plan, rules: Rules, folders: Folders) -> Outcome:
    """Make links, special files and further names; then set the properties of directories, deepest
    first."""
    problems: list[str] = []
    broken: list[str] = []

    def make_other(entry: Entry) -> None:
        make = make_link if entry.inode.is_link else make_special
        problems.extend(make(folders, entry, rules))

    def finish(entry: Entry) -> None:
        with folders.opened(entry.path) as handle:
            if rules.is_clean or not is_set(handle, entry, rules):
                problems.extend(named(set_properties(handle, entry, rules), folders, entry))

    for entry in plan.others:
        broken += attempt(folders, entry, partial(make_other, entry))
    for first, entry in plan.names:
        broken += attempt(folders, entry, partial(make_name, folders, first, entry))
    for entry in reversed(plan.folders):
        broken += attempt(folders, entry, partial(finish, entry))
    return Outcome(0, 0, problems, broken)
