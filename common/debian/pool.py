"""The cache of locked files, by their SHA-256, and what fills it.

A file is read through and held to its size and hash each time it is asked for, wherever it comes
from: the cache, a folder that mirrors the archive, the mirror, or the snapshot service, which
keeps what mirrors have dropped.
"""

import hashlib
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from common.debian.download import Download, NotOfferedError
from common.errors import ZosError
from common.files import open_atomic, open_regular
from common.paths import cache_dir
from common.scratch import scratch

CONNECTIONS = 4
FETCH_DEADLINE_S = 900
UNUSED_MAX_S = 60 * 24 * 3600
Progress = Callable[[str], None] | None


class PoolError(ZosError):
    """A locked file is not to be had, or somebody offers another in its place."""


class GoneError(PoolError):
    """No source has a locked file any more, and none has offered another."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A locked file: `name` is for people, `path` its place in a mirror, `urls` where it may be."""

    name: str
    path: str
    size: int
    sha256: str
    urls: tuple[str, ...] = ()


def find_files(
    files: Sequence[Wanted], mirror: Path | None = None, progress: Progress = None
) -> dict[str, Path]:
    """Return the place of each file by its SHA-256, fetching those that are not there.

    With the folder `mirror`, nothing is fetched: what the cache lacks must be in it. Raises
    `PoolError`, and `GoneError` if that is all that is wrong.
    """
    found = {file.sha256: place for file in files if (place := find_cached(file))}
    missing = [file for file in files if file.sha256 not in found]
    if mirror is not None:
        return found | {file.sha256: check_mirrored(file, mirror) for file in missing}
    return found | fetch_files(missing, progress)


def find_cached(file: Wanted) -> Path | None:
    """Return the file's place in the cache if it is there, undamaged."""
    path = cached_path(file)
    with suppress(OSError):
        with open_regular(path) as stream:
            if difference(stream, file) is None:
                os.utime(path)
                return path
    return None


def cached_path(file: Wanted) -> Path:
    """Return the place of a file in the cache."""
    return cache_dir("pool") / file.sha256


def check_mirrored(file: Wanted, mirror: Path) -> Path:
    """Return the file's place in a mirror's folder. Raises `PoolError`."""
    path, hint = mirror / file.path, f"fill the folder again: zos image mirror {mirror}"
    try:
        with open_regular(path) as stream:
            wrong = difference(stream, file)
    except OSError as error:
        raise PoolError(
            f"cannot use the mirror {mirror}: {file.name} is locked with SHA-256 {file.sha256}, "
            f"but {path} can't be read: {error.strerror}",
            hint=hint,
        ) from error
    if wrong:
        raise PoolError(f"cannot use {path} for {file.name}: {wrong}", hint=hint)
    return path


def difference(stream: BufferedIOBase, file: Wanted) -> str | None:
    """Return how an open file differs from the locked one, or None; then it is at its start."""
    size = os.fstat(stream.fileno()).st_size
    if size != file.size:
        return f"the lock wants {file.size} bytes, and it has {size}"
    found = hashlib.file_digest(stream, "sha256").hexdigest()
    stream.seek(0)
    if found != file.sha256:
        return f"the lock wants SHA-256 {file.sha256}, and it has {found}"
    return None


def keep_file(source: Path, file: Wanted) -> Path:
    """Copy a verified file into the cache. Raises `PoolError` if it is not the locked one."""
    with open(source, "rb") as stream:
        wrong = difference(stream, file)
        if wrong:
            raise PoolError(f"cannot use {source} for {file.name}: {wrong}")
        path = cached_path(file)
        with open_atomic(path) as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
    return path


def fetch_files(files: Sequence[Wanted], progress: Progress = None) -> dict[str, Path]:
    """Download files into the cache, some at a time, and return their places.

    The threads are daemons: Ctrl-C waits for no server.
    """
    if not files:
        return {}
    forget_unused(cache_dir("pool"), "*")
    todo: queue.SimpleQueue[Wanted] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Wanted, Path | BaseException]] = queue.SimpleQueue()
    for file in files:
        todo.put(file)
    stop = threading.Event()
    with scratch("pool") as folder:
        work = (todo, done, folder, stop)
        for _ in range(min(CONNECTIONS, len(files))):
            threading.Thread(target=fetch_some, args=work, daemon=True).start()
        try:
            return collect(files, done, progress)
        finally:
            stop.set()


def fetch_some(
    todo: "queue.SimpleQueue[Wanted]",
    done: "queue.SimpleQueue[tuple[Wanted, Path | BaseException]]",
    folder: Path,
    stop: threading.Event,
) -> None:
    """Download files of a queue until it is empty; report each result, also a failure."""
    while not stop.is_set():
        try:
            file = todo.get_nowait()
        except queue.Empty:
            return
        try:
            done.put((file, fetch_file(file, folder, stop)))
        except BaseException as error:
            done.put((file, error))


def collect(
    files: Sequence[Wanted],
    done: "queue.SimpleQueue[tuple[Wanted, Path | BaseException]]",
    progress: Progress,
) -> dict[str, Path]:
    """Return the places of all files once they are there; raise the first failure."""
    deadline = time.monotonic() + FETCH_DEADLINE_S
    found: dict[str, Path] = {}
    for number in range(1, len(files) + 1):
        try:
            file, result = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise PoolError(
                f"cannot fetch the locked packages: {len(files) - number + 1} of {len(files)} "
                f"have not come in {FETCH_DEADLINE_S} s",
                hint="run it again: those that came are kept",
            ) from None
        if isinstance(result, BaseException):
            raise result
        found[file.sha256] = result
        if progress:
            size = f"{file.size / 1e6:.1f} MB"
            progress(f"fetched package {number} of {len(files)}: {file.name} ({size})")
    return found


def fetch_file(file: Wanted, folder: Path, stop: threading.Event) -> Path:
    """Download one file from the first source that has it. Raises `PoolError`."""
    place = folder / file.sha256
    reasons: list[str] = []
    is_gone = True
    for url in file.urls:
        try:
            Download(url, file.size, stop).save(place)
            with open(place, "rb") as stream:
                wrong = difference(stream, file)
            if wrong is None:
                return keep_file(place, file)
            reasons.append(f"{url}: {wrong}")
            is_gone = False
        except NotOfferedError as error:
            reasons.append(f"{url}: {error.message}")
        finally:
            place.unlink(missing_ok=True)
    kind = GoneError if is_gone else PoolError
    raise kind(
        f"cannot fetch {file.name}, locked with SHA-256 {file.sha256}: " + "; ".join(reasons),
        hint="build from a folder that `zos image mirror` filled (--mirror DIR), or lock the "
        "newest versions: zos image update",
    )


def forget_unused(folder: Path, pattern: str) -> None:
    """Remove cached files that nobody has used for months; each use sets the time of a file."""
    oldest = time.time() - UNUSED_MAX_S
    for path in folder.glob(pattern):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def fill_mirror(folder: Path, files: Iterable[Wanted], places: Mapping[str, Path]) -> Iterator[str]:
    """Copy files to their places in a mirror's folder; yield the paths of those that were not
    there. What else is in the folder stays."""
    for file in files:
        target = folder / file.path
        with suppress(OSError):
            with open_regular(target) as stream:
                if difference(stream, file) is None:
                    continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(places[file.sha256], "rb") as stream, open_atomic(target) as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
        yield file.path
