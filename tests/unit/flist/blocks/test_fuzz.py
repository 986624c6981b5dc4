"""Damaged and hostile blocks: never wrong bytes, never a crash."""

import os
from pathlib import Path

import cramjam
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flist.blocks.codec import NONCE_BYTES, check_arrival, decode, digest, encode
from flist.errors import BlockError, FlistError
from flist.model import CHUNK_BYTES, MAX_BLOCK_BYTES, Block, Route
from flist.store.cache import BlockCache
from flist.store.fetch import Fetcher
from flist.store.folder import FolderStore
from flist.store.places import Places
from flist.unpack.verify import Copies, check_blocks

EXAMPLES = int(os.environ.get("ZOS_FUZZ_EXAMPLES", "100"))
bounded = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=EXAMPLES <= 100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
PLAIN = (b"some text that packs well, " * 5000)[:CHUNK_BYTES]


def forge(packed: bytes, key: bytes) -> tuple[Block, bytes]:
    """Return a block that an attacker can make: correctly encrypted, with any content and key."""
    data = AESGCM(key).encrypt(key[:NONCE_BYTES], packed, None)
    return Block(digest(data), key), data


@bounded
@given(place=st.floats(0, 1, exclude_max=True), value=st.binary(min_size=1, max_size=9))
def test_flipped_bytes_are_refused_or_harmless(place: float, value: bytes) -> None:
    encoded = encode(PLAIN)
    data = bytearray(encoded.data)
    start = int(place * len(data))
    data[start : start + len(value)] = value
    if bytes(data) == encoded.data:
        return
    with pytest.raises(BlockError):
        check_arrival(encoded.block.id, bytes(data))
    with pytest.raises(BlockError):
        decode(encoded.block, bytes(data), len(PLAIN))


@bounded
@given(packed=st.binary(max_size=200), size=st.integers(0, CHUNK_BYTES), key=st.binary(min_size=32,
       max_size=32))  # fmt: skip
def test_well_encrypted_garbage_is_refused(packed: bytes, size: int, key: bytes) -> None:
    block, data = forge(packed, key)
    check_arrival(block.id, data)
    with pytest.raises(BlockError):
        decode(block, data, size)


@bounded
@given(size=st.integers(0, 2**40))
def test_only_the_length_that_was_promised(size: int) -> None:
    encoded = encode(PLAIN)
    if size != len(PLAIN):
        with pytest.raises(BlockError):
            decode(encoded.block, encoded.data, size)


def test_a_block_that_grows_is_not_unpacked() -> None:
    bomb = bytes(cramjam.snappy.compress_raw(bytes(100 << 20)))
    block, data = forge(bomb, digest(b"bomb"))
    with pytest.raises(BlockError, match="not 524288 bytes"):
        decode(block, data, CHUNK_BYTES)


def test_a_wrong_key_is_refused() -> None:
    encoded = encode(PLAIN)
    with pytest.raises(BlockError, match="tag"):
        decode(Block(encoded.block.id, digest(b"another")), encoded.data, len(PLAIN))


def test_two_blocks_of_one_key_are_not_mixed_up(tmp_path: Path) -> None:
    """Only the id identifies the bytes, also for chunks in memory."""
    store = FolderStore(tmp_path)
    blocks = []
    for plain in (b"the one", b"another"):
        block, data = forge(bytes(cramjam.snappy.compress_raw(plain)), digest(b"the one"))
        store.put(block.id, data)
        blocks.append(block)
    for is_local in (True, False):
        fetcher = Fetcher(store, BlockCache(tmp_path / f"cache-{is_local}"), is_local=is_local)
        for _ in range(2):
            assert [fetcher.plain(block, 7) for block in blocks] == [b"the one", b"another"]
    sizes, users = dict.fromkeys(blocks, 7), dict.fromkeys(blocks, "file")
    copies = Copies(Places([Route(0, 255, f"dir://{tmp_path}")], 0, is_logged=False), None)
    faults = check_blocks(copies, sizes, users, lambda _: None, None)
    assert [blocks[1].id.hex() in fault for fault in faults] == [True]


def test_a_block_that_is_too_large_is_not_hashed() -> None:
    data = bytes(MAX_BLOCK_BYTES + 1)
    with pytest.raises(BlockError, match="has"):
        check_arrival(digest(data), data)


@bounded
@given(data=st.binary(max_size=300), is_cut=st.booleans())
def test_a_damaged_cache_never_gives_wrong_bytes(tmp_path: Path, data: bytes, is_cut: bool) -> None:
    store, cache = FolderStore(tmp_path / "store"), BlockCache(tmp_path / "cache")
    encoded = encode(PLAIN)
    store.put(encoded.block.id, encoded.data)
    cache.put(encoded.block.id, encoded.data)
    path = Path(cache.folder.path(encoded.block.id.hex()))
    path.write_bytes(encoded.data[: len(data)] if is_cut else data)
    assert Fetcher(store, cache).plain(encoded.block, len(PLAIN)) == PLAIN
    assert path.read_bytes() == encoded.data
    with pytest.raises(FlistError):
        path.write_bytes(data)
        Fetcher(None, cache).plain(encoded.block, len(PLAIN))
