"""Tells the C library's allocator what sizes we work with.

By default a chunk's buffers, of up to half a MiB, come fresh from the kernel each time, page by
zeroed page, and go back at once: half of the system time of unpacking.
"""

import ctypes

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
LARGEST_BUFFER_BYTES = 4 << 20
KEPT_BYTES = 32 << 20


def keep_buffers() -> None:
    """Let this process reuse the memory of buffers, up to `KEPT_BYTES` of it. Only glibc can."""
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "mallopt"):
        c_library.mallopt(MMAP_THRESHOLD, LARGEST_BUFFER_BYTES)
        c_library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)
