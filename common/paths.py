"""Where things that can be made again are kept between runs."""

import os
from pathlib import Path


def cache_dir(*parts: str) -> Path:
    """Return (and make) a folder below `$ZOS_CACHE`, or below the user's cache folder."""
    base = os.environ.get("ZOS_CACHE")
    if base:
        root = Path(base)
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zero-os"
    path = root.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path
