"""Tells the C library's allocator what sizes we work with, and Python's collector to stay away.

By default a chunk's buffers, of up to half a MiB, come fresh from the kernel each time, page by
zeroed page, and go back at once: half of the system time of unpacking.
"""

import contextlib
import ctypes
import gc
from collections.abc import Iterator

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
LARGEST_BUFFER_BYTES = 4 << 20
KEPT_BYTES = 32 << 20
RARELY = 50_000
"""So many more objects that hold others than there were: a few MB."""


def keep_buffers() -> None:
    """Let this process reuse the memory of buffers, up to `KEPT_BYTES` of it. Only glibc can."""
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "mallopt"):
        c_library.mallopt(MMAP_THRESHOLD, LARGEST_BUFFER_BYTES)
        c_library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)


def collect_rarely() -> None:
    """Let the collector look only at what comes from now on, and seldom: for a process that keeps
    many small tuples and makes hardly a cycle."""
    gc.freeze()
    gc.set_threshold(RARELY)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Collect no cycles during the block, which makes none but many small tuples: looking through
    them again and again is a tenth of the time that listing a tree takes. Nor is what is there at
    its end looked through later; that would be half of the time that the process takes to end."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
