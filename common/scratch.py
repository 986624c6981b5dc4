"""Folders of one run, below the cache: removed at its end, or by a later run if it was killed.

The owner holds flock(2) on its folder, so a folder that can be locked has lost its owner.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common.paths import cache_dir


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Yield an empty private folder; `name` says what it is for."""
    base = cache_dir("runs")
    with _locked(base / ".guard"):  # else another run could sweep the folder before it is locked
        sweep(base)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def sweep(base: Path) -> None:
    """Remove the folders in `base` whose owners have gone."""
    for folder in base.iterdir():
        with contextlib.suppress(OSError):  # held, not a folder, or removed meanwhile
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that is held for moments only."""
    with open(path, "a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
