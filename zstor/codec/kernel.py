"""Rows of factors times shards: Intel's ISA-L where it is, else Python's own integers.

pyeclib's wheels carry ISA-L; its own interface is not used: it has other rows, puts 80 bytes
before every fragment and stops at 32 of them. Measured at 16+4 with shards of 1 MiB: ISA-L with
our rows 9 to 14 GB/s, pyeclib 1 to 3 GB/s, Python 0.14 GB/s.
"""

import ctypes
import ctypes.util
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

from zstor.codec.galois import products

TABLE_SIZE = 32  # of each factor, from ec_init_tables in ISA-L's erasure_code.h


def combine(rows: Sequence[bytes], sources: Sequence[bytes]) -> list[bytes]:
    """Return one shard for each row: the sum of the row's products with `sources`.

    All sources have the same length.
    """
    library = load_library()
    if not rows or not sources[0]:
        return [b""] * len(rows)
    if library is None:
        return [combine_slowly(row, sources) for row in rows]
    return _combine(library, tuple(rows), sources)


@cache
def load_library() -> ctypes.CDLL | None:
    """Return ISA-L: pyeclib's, or the system's."""
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)
            library.ec_init_tables.restype = library.ec_encode_data.restype = None
        except (OSError, AttributeError):
            continue
        return library
    return None


def _candidates() -> list[str]:
    spec = find_spec("pyeclib")
    top = Path(spec.origin).parent.parent if spec and spec.origin else Path()
    bundled = sorted(str(path) for path in top.glob("pyeclib.libs/libisal*"))
    return [*bundled, ctypes.util.find_library("isal") or "libisal.so.2"]


@lru_cache(maxsize=256)
def _tables(library: ctypes.CDLL, rows: tuple[bytes, ...]) -> ctypes.Array[ctypes.c_char]:
    """Return ISA-L's multiplication tables of these rows."""
    k, count = len(rows[0]), len(rows)
    tables = ctypes.create_string_buffer(TABLE_SIZE * k * count)
    library.ec_init_tables(k, count, b"".join(rows), tables)
    return tables


def _combine(
    library: ctypes.CDLL, rows: tuple[bytes, ...], sources: Sequence[bytes]
) -> list[bytes]:
    """Let ISA-L multiply; it runs without Python's lock."""
    length, k, count = len(sources[0]), len(sources), len(rows)
    inputs = (ctypes.c_char_p * k)(*sources)
    buffers = [ctypes.create_string_buffer(length) for _ in rows]
    outputs = (ctypes.c_void_p * count)(*map(ctypes.addressof, buffers))
    library.ec_encode_data(length, k, count, _tables(library, rows), inputs, outputs)
    return [buffer.raw for buffer in buffers]


def combine_slowly(row: bytes, sources: Sequence[bytes]) -> bytes:
    """Return one shard: products by table, sums by one large integer."""
    total = 0
    for factor, source in zip(row, sources, strict=True):
        if factor:
            total ^= int.from_bytes(source.translate(products(factor)), "little")
    return total.to_bytes(len(sources[0]), "little")
