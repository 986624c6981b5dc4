"""BLAKE2b of whole blocks, with the fastest implementation on this machine.

Hashing is a third of the time of packing. Python's own BLAKE2b (before 3.14) is plain C. libgcrypt,
which most Debian systems have, takes 0.8 of its time with AVX2 (Debian 12) and 0.55 with AVX-512
(Debian 13). Python's is used where libgcrypt is missing or refuses (FIPS mode).
"""

import ctypes
import functools
from collections.abc import Callable
from hashlib import blake2b

LIBRARY = "libgcrypt.so.20"
INITIALIZATION_FINISHED, TEST_ALGORITHM = 38, 8  # of gcrypt.h
BLAKE2B_256 = 320
HASH_BYTES = 32
SMALL_BYTES = 2048
"""Python hashes less than this faster than it calls a C library."""
SAMPLE = bytes(range(256)) * 16

Hash = Callable[[bytes], bytes]


def hash_plainly(data: bytes | memoryview) -> bytes:
    """Return the BLAKE2b-256 of `data`, with Python's implementation."""
    return blake2b(data, digest_size=HASH_BYTES).digest()


@functools.cache
def find_fastest() -> Hash:
    """Return libgcrypt's BLAKE2b-256 if it exists and hashes a sample right, or else Python's."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return hash_plainly
    if not library.gcry_check_version(None):
        return hash_plainly
    library.gcry_control(INITIALIZATION_FINISHED, 0)
    if library.gcry_md_algo_info(BLAKE2B_256, TEST_ALGORITHM, None, None):
        return hash_plainly
    hash_buffer = library.gcry_md_hash_buffer
    hash_buffer.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
    hash_buffer.restype = None
    result_type = ctypes.c_char * HASH_BYTES

    def hash_fast(data: bytes) -> bytes:
        if len(data) < SMALL_BYTES:
            return blake2b(data, digest_size=HASH_BYTES).digest()
        result = result_type()
        hash_buffer(BLAKE2B_256, result, data, len(data))
        return result.raw

    return hash_fast if hash_fast(SAMPLE) == hash_plainly(SAMPLE) else hash_plainly
