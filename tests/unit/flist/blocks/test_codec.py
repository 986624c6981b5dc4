"""Encoding and decoding of blocks, and what decoding refuses."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flist.blocks.codec import check_arrival, decode, digest, encode, hash_check
from flist.errors import BlockError
from flist.model import CHUNK_BYTES, MAX_BLOCK_BYTES, Block


def test_golden_block() -> None:
    """Ids depend on Snappy's exact bytes; these are upstream's for the golden sample's file."""
    block, data = encode(b"x" * 100_000)
    assert digest(data) == block.id
    assert digest(b"x" * 100_000) == block.key
    assert len(data) < 6000


@given(st.binary(min_size=1, max_size=5000))
@settings(max_examples=50, deadline=None)
def test_round_trip(plain: bytes) -> None:
    block, data = encode(plain)
    check_arrival(block.id, data)
    assert decode(block, data, len(plain)) == plain


def test_a_chunk_that_does_not_compress() -> None:
    plain = os.urandom(CHUNK_BYTES)
    block, data = encode(plain)
    assert len(data) <= MAX_BLOCK_BYTES
    assert decode(block, data, CHUNK_BYTES) == plain
    with pytest.raises(BlockError, match="bytes"):
        check_arrival(block.id, data + b"x" * MAX_BLOCK_BYTES)


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=50, deadline=None)
def test_every_flipped_byte_is_refused(place: int, change: int) -> None:
    block, data = encode(b"some plain bytes" * 64)
    wrong = bytearray(data)
    wrong[place % len(wrong)] ^= change
    with pytest.raises(BlockError):
        check_arrival(block.id, bytes(wrong))
    with pytest.raises(BlockError):
        decode(block, bytes(wrong), 1024)


@pytest.mark.parametrize("size", [0, 1023, 1025, CHUNK_BYTES])
def test_a_wrong_size_is_refused(size: int) -> None:
    block, data = encode(b"some plain bytes" * 64)
    with pytest.raises(BlockError):
        decode(block, data, size)


@given(st.binary(max_size=200), st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_garbage_is_refused(data: bytes, key: bytes) -> None:
    with pytest.raises(BlockError):
        decode(Block(digest(data), key), data, 10)


def test_the_check_is_blake3() -> None:
    """The official test vector of the empty input."""
    assert hash_check(b"").hex() == (
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    )
    block, data = encode(b"some bytes")
    assert block.check == hash_check(data)
