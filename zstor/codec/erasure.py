"""Reed-Solomon: k data shards and m parity shards, of which any k give the others.

The code is upstream's (`galois.py`), for its stores and for ours.
"""

from collections.abc import Mapping, Sequence

from zstor.codec.galois import parity_rows, recovery_rows
from zstor.codec.kernel import combine
from zstor.errors import DamagedError, LostError


def pad(data: bytes, k: int) -> bytes:
    """Return `data` with 1 to k bytes after it, whose value is their number: divisible by k."""
    count = k - len(data) % k
    return data + bytes([count % 256]) * count


def unpad(data: bytes, k: int) -> bytes:
    """Return what `pad` was given."""
    return data[: len(data) - padding(data[-1:], k)]


def padding(last: bytes, k: int) -> int:
    """Return how many bytes of padding end with the byte `last`."""
    count = (last[0] or 256) if last else 0
    if not 0 < count <= k:
        raise DamagedError("cannot join the shards: their padding is invalid")
    return count


def split(data: bytes, k: int) -> list[bytes]:
    """Return `data`, padded, in k parts of equal length."""
    padded = pad(data, k)
    length = len(padded) // k
    return [padded[i * length : (i + 1) * length] for i in range(k)]


def encode(shards: Sequence[bytes], m: int) -> list[bytes]:
    """Return the m parity shards of these data shards."""
    return combine(parity_rows(len(shards), m), shards)


def disperse(data: bytes, k: int, m: int) -> list[bytes]:
    """Return all k+m shards of `data`."""
    shards = split(data, k)
    return shards + encode(shards, m)


def recover(shards: Mapping[int, bytes], k: int, m: int, wanted: Sequence[int]) -> list[bytes]:
    """Return the shards with the numbers `wanted`, computed of any k others where they are missing.

    Raise `LostError` with the numbers of the missing ones if fewer than k are there.
    """
    check_enough(shards, k, m)
    data = _data(shards, k, m)
    lost_parity = [n for n in wanted if n >= k and n not in shards]
    rows = [parity_rows(k, m)[n - k] for n in lost_parity]
    made = dict(zip(lost_parity, combine(rows, data), strict=True))
    return [data[n] if n < k else made[n] if n in made else shards[n] for n in wanted]


def check_enough(there: Mapping[int, object] | set[int], k: int, m: int) -> None:
    """Raise `LostError` unless k of the k+m shards are there."""
    if len(there) < k:
        missing = tuple(n for n in range(k + m) if n not in there)
        raise LostError(
            f"cannot recover the data: {len(missing)} of {k + m} shards are missing, "
            f"{m} may be (missing: {', '.join(map(str, missing))})",
            missing,
        )


def _data(shards: Mapping[int, bytes], k: int, m: int) -> list[bytes]:
    """Return all data shards."""
    lost = tuple(n for n in range(k) if n not in shards)
    if not lost:
        return [shards[n] for n in range(k)]
    parity = tuple(sorted(n for n in shards if n >= k)[: len(lost)])
    stand_in = dict(zip(lost, parity, strict=True))
    sources = [shards[stand_in.get(n, n)] for n in range(k)]
    made = combine(recovery_rows(k, m, lost, parity), sources)
    found = dict(zip(lost, made, strict=True))
    return [found[n] if n in found else shards[n] for n in range(k)]


def join(shards: Mapping[int, bytes], k: int, m: int) -> bytes:
    """Return the data of which `disperse` made these shards, at least k of them."""
    return unpad(b"".join(recover(shards, k, m, range(k))), k)
