"""XXTEA on data whose length is a whole number of 32-bit words, and at least two.

The `xxtea` package does it at 150 MB/s. It is not on nodes, where Python itself does, at 1 MB/s.
"""

import struct

try:
    import xxtea
except ModuleNotFoundError:
    xxtea = None

DELTA = 0x9E3779B9
MASK = 0xFFFFFFFF


def encrypt_words(data: bytes, key: bytes) -> bytes:
    """Return `data` encrypted with the 16 bytes `key`."""
    if xxtea is not None:
        return bytes(xxtea.encrypt(data, key, padding=False))
    return encrypt_here(data, key)


def decrypt_words(data: bytes, key: bytes) -> bytes:
    """Return what `encrypt_words` was given."""
    if xxtea is not None:
        return bytes(xxtea.decrypt(data, key, padding=False))
    return decrypt_here(data, key)


def encrypt_here(data: bytes, key: bytes) -> bytes:
    """Do what `encrypt_words` does, in Python."""
    words = list(struct.unpack(f"<{len(data) // 4}I", data))
    k = struct.unpack("<4I", key)
    last = len(words) - 1
    z, total = words[last], 0
    for _ in range(6 + 52 // len(words)):
        total = (total + DELTA) & MASK
        e = total >> 2 & 3
        for p in range(last + 1):
            y = words[p + 1] if p < last else words[0]
            mix = ((z >> 5 ^ y << 2) + (y >> 3 ^ z << 4)) ^ ((total ^ y) + (k[p & 3 ^ e] ^ z))
            z = words[p] = (words[p] + mix) & MASK
    return struct.pack(f"<{len(words)}I", *words)


def decrypt_here(data: bytes, key: bytes) -> bytes:
    """Do what `decrypt_words` does, in Python."""
    words = list(struct.unpack(f"<{len(data) // 4}I", data))
    k = struct.unpack("<4I", key)
    last = len(words) - 1
    total = (6 + 52 // len(words)) * DELTA & MASK
    y = words[0]
    while total:
        e = total >> 2 & 3
        for p in range(last, -1, -1):
            z = words[p - 1] if p else words[last]
            mix = ((z >> 5 ^ y << 2) + (y >> 3 ^ z << 4)) ^ ((total ^ y) + (k[p & 3 ^ e] ^ z))
            y = words[p] = (words[p] - mix) & MASK
        total = (total - DELTA) & MASK
    return struct.pack(f"<{len(words)}I", *words)
