"""Where `zos boot` keeps things: what a checkout has made, and what belongs to one run.

Two checkouts have different sources, so each has its own hub. A run links what it serves into a
folder of its own: another run that builds anew replaces names, and never changes a file.
"""

import hashlib
import os
import shutil
from pathlib import Path

from common.paths import cache_dir

TOP = Path(__file__).resolve().parent.parent.parent


def checkout_dir(*parts: str) -> Path:
    """Create and return a folder of the cache that belongs to this checkout or installation."""
    return cache_dir("boot", hashlib.sha256(os.fsencode(TOP)).hexdigest()[:12], *parts)


def link_files(source: Path, target: Path) -> None:
    """Make the files in `source` appear in the new folder `target`; copy them if need be."""
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file() and not path.name.startswith("."):
            link_file(path, target / path.name)


def link_file(source: Path, target: Path) -> None:
    """Make a file appear at `target`, as a hard link where the file system has them."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
