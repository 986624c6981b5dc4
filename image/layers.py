"""Compressed layers of the initramfs, kept by the identity of what went into them.

The kernel unpacks any number of compressed archives that stand behind one another, so what changes
rarely (kernel modules, Python) is compressed once, and a change of the project's own code costs
the time of its own small layer.
"""

import os
from collections.abc import Callable
from pathlib import Path

import zstandard

from common.files import write_atomic
from common.paths import cache_dir
from image.cpio import write_archive
from image.tree import Tree

LEVEL = 19
# The window that level 19 uses by itself; the kernel allocates it while it unpacks.
WINDOW_LOG = 23
KEPT_PER_LAYER = 4


def pack_layer(tree: Tree, mtime: int, level: int = LEVEL) -> bytes:
    """Return `tree` as a compressed archive, padded so that another can follow.

    Any number of threads (but not none) gives the same bytes.
    """
    options = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=WINDOW_LOG, threads=max(1, os.cpu_count() or 1), write_checksum=False
    )
    packed = zstandard.ZstdCompressor(compression_params=options).compress(
        write_archive(tree, mtime)
    )
    return packed + b"\0" * (-len(packed) % 4)


def cached_layer(name: str, identity: str, make: Callable[[], bytes]) -> bytes:
    """Return the layer `name` of `identity`; `make` is called only if it is not in the cache."""
    path = cache_dir("image", "layers") / f"{name}-{identity[:32]}.zst"
    try:
        data = path.read_bytes()
        path.touch()
    except FileNotFoundError:
        data = make()
        write_atomic(path, data)
        forget_old_layers(path.parent, name)
    return data


def forget_old_layers(folder: Path, name: str) -> None:
    """Remove all but the newest few layers called `name`."""
    aged = []
    for path in folder.glob(f"{name}-*.zst"):
        try:
            aged.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue  # another build removed it
    for _, path in sorted(aged, reverse=True)[KEPT_PER_LAYER:]:
        path.unlink(missing_ok=True)
