"""BLAKE2b of whole blocks, as fast as this machine has it.

Hashing is a third of packing. Python's own BLAKE2b (before 3.14) is plain C; libgcrypt, which most
Debian systems have anyway, takes 0.8 of its time with AVX2 (Debian 12's) and 0.55 with AVX-512
(Debian 13's). Where it is missing, or refuses (FIPS mode), Python's is used: a node needs nothing
more.
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
"""Less than this Python hashes faster than it calls a C library."""
SAMPLE = bytes(range(256)) * 16

Hash = Callable[[bytes], bytes]


def hash_plainly(data: bytes | memoryview) -> bytes:
    """Return BLAKE2b-256 of `data`."""
    return blake2b(data, digest_size=HASH_BYTES).digest()


@functools.cache
def find_fastest() -> Hash:
    """Return libgcrypt's BLAKE2b-256 if it is here and right, or else Python's."""
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
