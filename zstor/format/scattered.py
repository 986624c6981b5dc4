"""How upstream keeps metadata: encrypted with the data key, in 2+2 shards, one in each store.

A value is the shard's number, the shard, and the shard's checksum (0-stor_v2 d542f6c,
`zdb_meta.rs`). There is no version: a shard of an older write is told apart only by decryption.
"""

from collections.abc import Mapping
from itertools import combinations

from zstor.codec.checksum import SHORT, short_checksum
from zstor.codec.cipher import seal, unseal
from zstor.codec.erasure import check_enough, disperse, join
from zstor.errors import DamagedError
from zstor.model import Shape

SHAPE = Shape(2, 2)


def scatter(metadata: bytes, key: bytes) -> list[bytes]:
    """Return the values of the four stores."""
    shards = disperse(seal(key, metadata), *SHAPE)
    return [bytes([n]) + shard + short_checksum(shard) for n, shard in enumerate(shards)]


def gather(values: list[bytes], key: bytes) -> bytes:
    """Return the metadata in two or more of these values.

    Shards of different writes don't fit each other, so every pair is tried.
    """
    shards = _intact(values)
    check_enough({number: b"" for number, _ in shards}, *SHAPE)
    for pair in combinations(shards, SHAPE.k):
        try:
            return unseal(key, join(_by_number(pair), *SHAPE))
        except DamagedError:
            continue
    raise DamagedError("cannot read metadata: its parts don't belong together, or another key")


def _intact(values: list[bytes]) -> list[tuple[int, bytes]]:
    found = []
    for value in values:
        shard, checksum = value[1:-SHORT], value[-SHORT:]
        if len(value) > SHORT + 1 and value[0] < SHAPE.total and short_checksum(shard) == checksum:
            found.append((value[0], shard))
    return found


def _by_number(pair: tuple[tuple[int, bytes], ...]) -> Mapping[int, bytes]:
    shards = dict(pair)
    if len(shards) < SHAPE.k or len({len(shard) for shard in shards.values()}) > 1:
        raise DamagedError("cannot read metadata: its parts don't belong together")
    return shards
