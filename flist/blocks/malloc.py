"""Tunes glibc's allocator for buffers of a chunk's size.

By default glibc takes a buffer of up to half a MiB from the kernel, zeroed page by page, and gives
it back at once. That is half of the system time of unpacking.
"""

import ctypes

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
LARGEST_BUFFER_BYTES = 4 << 20
KEPT_BYTES = 32 << 20


def keep_buffers() -> None:
    """Let this process reuse the memory of freed buffers, up to `KEPT_BYTES`. Another C library
    than glibc is left as it is."""
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "mallopt"):
        c_library.mallopt(MMAP_THRESHOLD, LARGEST_BUFFER_BYTES)
        c_library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)
