"""Makes locks, fetches what they name, and fills folders with it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from common.debian.fetch import wanted_files
from common.debian.lock import LockError
from common.debian.pool import Wanted, fill_mirror, find_files
from common.debian.resolve import resolve
from common.files import write_atomic
from image.lock.changes import Notice, changed_sources, read_notices
from image.lock.model import ReleaseLock, Request, is_of, read_lock, render
from image.lock.wheels import fetch_wheels, resolve_wheels, wanted_wheel

Progress = Callable[[str], None]


def make_lock(request: Request, progress: Progress, *, allow_expired: bool = False) -> ReleaseLock:
    """Return a lock of the newest packages that a profile's request leads to."""
    debian = resolve(
        request.packages,
        components=request.components,
        architecture=request.architecture,
        allow_expired=allow_expired,
        progress=progress,
    )
    tools = None
    if request.tools:
        tools = resolve(request.tools, allow_expired=allow_expired, progress=progress)
    progress("finding the wheels")
    return ReleaseLock(debian, request.requirements, resolve_wheels(request), tools)


def write_lock(lock: ReleaseLock, path: Path) -> None:
    """Write a lock's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, render(lock).encode())


def is_current(request: Request) -> bool:
    """Return whether there is a lock that fits the request."""
    try:
        return is_of(read_lock(request.lock), request)
    except LockError:
        return False


def find_notices(old: ReleaseLock, new: ReleaseLock, progress: Progress) -> list[Notice]:
    """Return the security notices in the changelogs of the packages that have changed.

    They are fetched for that; a build of the new lock needs them anyway.
    """
    sources = changed_sources(old.debian, new.debian)
    names = {package.name for _, packages in sources.values() for package in packages}
    files = {file.path: file for file in wanted_files(new.debian)}
    wanted = [files[row.path] for row in new.debian.packages if row.name in names]
    places = find_files(wanted, progress=progress)
    notices: list[Notice] = []
    for source, (version, packages) in sorted(sources.items()):
        notices += read_notices(source, version, (places[row.sha256] for row in packages))
    return notices


def mirror_lock(lock: ReleaseLock, folder: Path, progress: Progress) -> Iterator[str]:
    """Put all files of a lock into a folder; yield the paths of those that were not there."""
    packages = [file for part in lock.parts for file in wanted_files(part)]
    places = find_files(packages, progress=progress)
    paths = fetch_wheels(lock.wheels, lock.debian.architecture)
    wheels: Sequence[Wanted] = [wanted_wheel(wheel) for wheel in lock.wheels]
    places |= {file.sha256: path for file, path in zip(wheels, paths, strict=True)}
    yield from fill_mirror(folder, [*packages, *wheels], places)
