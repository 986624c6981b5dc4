"""Compressed layers of the initramfs, cached by the identity of their inputs.

The kernel unpacks any number of concatenated compressed archives. So the parts that change rarely
(kernel modules, Python) are compressed once, and a change of the project's own code costs only the
time of its own small layer.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from common.paths import cache_dir
from common.run import run
from common.sealed import read_sealed, write_sealed
from image.formats import compress

COMPRESS = Path(compress.__file__)
COMPRESS_DEADLINE_S = 3600
# Measured with libraries and Python (40.3 MB): level 9 gives 14.6 MB, 19 13.1 MB, 22 with a window
# of 64 MB 12.9 MB for twice the time; all decompress in 0.1 s. xz gives 11.6 MB, which saves 0.12 s
# of a download at 100 Mbit/s, and takes 1 s to decompress.
LEVEL = 19
# The default window of level 19; the kernel allocates it while it unpacks.
WINDOW_LOG = 23
# The unit of work of a thread: small enough to keep many processors busy.
JOB_BYTES = 8 << 20
KEPT_PER_LAYER = 8  # of all profiles


def pack_layer(archive: bytes, level: int = LEVEL, threads: int = 0) -> bytes:
    """Return a cpio archive compressed; `threads` 0 is one per processor.

    Any number of threads gives the same bytes. Nothing is between two layers, so that
    `zstd -dc` unpacks them all.
    """
    numbers = map(str, (level, WINDOW_LOG, JOB_BYTES, threads))
    call: list[str | Path] = [sys.executable, "-I", COMPRESS, *numbers]
    return run(call, timeout_s=COMPRESS_DEADLINE_S, stdin=archive)


def cached_layer(name: str, identity: str, make: Callable[[], bytes]) -> bytes:
    """Return the layer `name` of `identity`; call `make` unless the cache has it undamaged."""
    path = cache_dir("image", "layers") / f"{name}-{identity[:32]}.sealed"
    data = read_sealed(path)
    if data is not None:
        with contextlib.suppress(FileNotFoundError):  # another build has just removed it
            os.utime(path)
        return data
    data = make()
    write_sealed(path, data)
    for pattern in (f"{name}-*.sealed", f"{name}-*.zst"):  # earlier versions wrote .zst
        keep_newest(path.parent, pattern, KEPT_PER_LAYER)
    return data


def keep_newest(folder: Path, pattern: str, count: int) -> None:
    """Remove all but the `count` newest files or folders that `pattern` matches in `folder`."""
    aged = []
    for path in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # another build has removed it
            aged.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(aged, reverse=True)[count:]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
