"""Debian packages as one tar archive: locked ones, or the newest of their names.

The archive is made once for each set of packages and sealed; then it is as good as they are.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from common.debian.lock import (
    DebianLock,
    LockedPackage,
    LockError,
    load_sections,
    parse_lock,
    render_lock,
)
from common.debian.pool import (
    FETCH_DEADLINE_S,
    GoneError,
    PoolError,
    Wanted,
    difference,
    find_files,
    forget_unused,
)
from common.debian.resolve import MIRROR, SUITE, resolve
from common.debian.unpack import FORMAT, Joiner
from common.files import open_atomic, open_regular, write_atomic
from common.locks import hold_lock
from common.paths import cache_dir
from common.scratch import scratch
from common.sealed import is_intact, seal_file

# It keeps every file of Debian's archive by the time; mirrors drop what has been superseded.
SNAPSHOT = "http://snapshot.debian.org/archive"
SECURITY = "pool/updates/"
SECTION = "debian"
LOCK_DEADLINE_S = FETCH_DEADLINE_S + 300
NOTED_S = 3600.0
Progress = Callable[[str], None]


def fetch_locked(
    lock: DebianLock, *, mirror: Path | None = None, progress: Progress | None = None
) -> Path:
    """Return an archive of exactly the packages of a lock, from the cache if it is there.

    With the folder `mirror`, the network is not used. `progress` is called with a short
    description of each step. Raises `PoolError`, `PackageError`, and `ZosError` if another process
    that makes the same archive does not finish in time.
    """
    path = cache_dir("debian") / f"{lock.suite}-{FORMAT}-{lock.identity[:32]}.tar"
    note_use(path)
    if is_intact(path):
        return path
    forget_unused(path.parent, "*.tar")
    with hold_lock(path.with_suffix(".lock"), "fetching Debian packages", LOCK_DEADLINE_S):
        if not is_intact(path):  # else another process made it while this one waited
            places = find_files(wanted_files(lock), mirror, progress)
            if progress:
                progress("unpacking the packages")
            join_packages(lock, places, path)
    return path


def note_use(path: Path) -> None:
    """Keep an archive from being forgotten. Its time changes rarely: it is read through then."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > NOTED_S:
            os.utime(path)


def fetch_or_resolve(
    lock: DebianLock, *, warn: Progress, progress: Progress | None = None
) -> tuple[DebianLock, Path]:
    """Return a lock and the archive of its packages: this lock, or one of the newest versions.

    The latter only if a locked package is nowhere to be had; `warn` is told then.
    """
    try:
        return lock, fetch_locked(lock, progress=progress)
    except GoneError as error:
        warn(f"{error.message}. The newest packages are used, NOT THE LOCKED ONES")
    return fetch_newest(
        lock.request,
        suite=lock.suite,
        components=lock.components,
        architecture=lock.architecture,
        progress=progress,
    )


def fetch_packages(packages: Sequence[str], *, suite: str = SUITE) -> Path:
    """Return an archive of `packages` and their dependencies: what this user's cache has of them,
    else the newest."""
    return fetch_newest(packages, suite=suite)[1]


def fetch_newest(
    packages: Sequence[str],
    *,
    suite: str = SUITE,
    components: Sequence[str] = ("main",),
    architecture: str = "amd64",
    progress: Progress | None = None,
) -> tuple[DebianLock, Path]:
    """Return the lock of the newest packages, and their archive.

    The lock is kept in the cache for the same request, until its packages are gone.
    """
    wanted = [suite, sorted(components), architecture, sorted(set(packages))]
    identity = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()
    note = cache_dir("debian") / f"{suite}-{identity[:16]}.toml"
    with hold_lock(note.with_suffix(".guard"), "resolving Debian packages", LOCK_DEADLINE_S):
        if lock := read_note(note):
            try:
                return lock, fetch_locked(lock, progress=progress)
            except GoneError:
                pass
        lock = resolve(
            packages,
            suite=suite,
            components=components,
            architecture=architecture,
            progress=progress,
        )
        path = fetch_locked(lock, progress=progress)
        write_atomic(note, render_lock(lock, SECTION).encode())
    return lock, path


def read_note(path: Path) -> DebianLock | None:
    """Return the lock in the cache, unless there is none or it is damaged."""
    try:
        return parse_lock(load_sections(path, [SECTION])[SECTION], str(path))
    except LockError:
        return None


def wanted_files(lock: DebianLock) -> list[Wanted]:
    """Return the packages of a lock as files, with the addresses where they may be."""
    return [
        Wanted(
            f"{row.name} {row.version}",
            row.path,
            row.size,
            row.sha256,
            package_urls(row.path, lock.snapshot),
        )
        for row in lock.packages
    ]


def package_urls(path: str, snapshot: str) -> tuple[str, ...]:
    """Return where a package may be, best first.

    A security update moves to the main archive with the next point release.
    """
    if not path.startswith(SECURITY):
        places = [f"{MIRROR}/debian/{path}", f"{SNAPSHOT}/debian/{snapshot}/{path}"]
    else:
        moved = "pool/" + path.removeprefix(SECURITY)
        places = [f"{MIRROR}/debian-security/{path}", f"{MIRROR}/debian/{moved}"]
        places += [f"{SNAPSHOT}/debian-security/{snapshot}/{path}"]
    return tuple(quote(place, safe=":/+~") for place in places)


def join_packages(lock: DebianLock, places: dict[str, Path], path: Path) -> None:
    """Write the sealed archive of a lock's packages. The caller holds the lock of `path`."""
    files = {file.sha256: file for file in wanted_files(lock)}
    with scratch("packages") as folder:
        made = folder / path.name
        with open_atomic(made) as target:
            joiner = Joiner(target)
            for package in lock.packages:
                add_package(joiner, package, places[package.sha256], files[package.sha256])
            joiner.close()
        seal_file(made, path)
        made.replace(path)


def add_package(joiner: Joiner, package: LockedPackage, place: Path, file: Wanted) -> None:
    """Add a package, which is verified by the handle that is read from then on."""
    with open_regular(place) as stream:
        if wrong := difference(stream, file):
            raise PoolError(f"cannot use {place} for {file.name}: {wrong}", hint="run it again")
        joiner.add(package, stream)
