"""Where things that can be made again are kept between runs."""

import os
from pathlib import Path

from common.errors import ZosError


def cache_dir(*parts: str) -> Path:
    """Return (and make) a folder below `$ZOS_CACHE`, or below the user's cache folder.

    Raises `ZosError` where that can't be made.
    """
    root = cache_root()
    path = root.joinpath(*parts)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZosError(
            f"cannot keep anything in {path}: {error.strerror}",
            hint="name a folder that can be written: ZOS_CACHE=FOLDER",
        ) from error
    return path


def cache_root() -> Path:
    """Return the folder that holds all of it, as an absolute path."""
    base = os.environ.get("ZOS_CACHE")
    if base:
        return Path(base).absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    if home and home.startswith("/"):  # the standard says to pass over a relative one
        return Path(home, "zero-os")
    try:
        return Path.home() / ".cache" / "zero-os"
    except RuntimeError as error:
        raise ZosError(
            "cannot find a folder to keep things in: this user has no home",
            hint="name one: ZOS_CACHE=FOLDER",
        ) from error
