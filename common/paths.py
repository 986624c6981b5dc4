"""The cache folder, for files that can be made again."""

import os
from pathlib import Path

from common.errors import ZosError


def cache_dir(*parts: str) -> Path:
    """Create and return a folder below `$ZOS_CACHE`, or below the user's cache folder.

    Raises `ZosError` if it can't be created.
    """
    root = cache_root()
    path = root.joinpath(*parts)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZosError(
            f"cannot use the cache folder {path}: {error.strerror}",
            hint="choose a writable folder: ZOS_CACHE=FOLDER",
        ) from error
    return path


def cache_root() -> Path:
    """Return the cache's top folder as an absolute path."""
    base = os.environ.get("ZOS_CACHE")
    if base:
        return Path(base).absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    if home and home.startswith("/"):  # the XDG specification says to ignore a relative one
        return Path(home, "zero-os")
    try:
        return Path.home() / ".cache" / "zero-os"
    except RuntimeError as error:
        raise ZosError(
            "cannot find a cache folder: this user has no home folder",
            hint="choose one: ZOS_CACHE=FOLDER",
        ) from error
