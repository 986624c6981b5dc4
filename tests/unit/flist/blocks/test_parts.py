"""Parts of blocks: the block is the same, each part can be read alone, damage is refused."""

import random
import struct
from collections.abc import Callable

import pytest

from flist.blocks.codec import digest, encode
from flist.blocks.parts import (
    ENTRY,
    PART_BYTES,
    check_parts,
    count_parts,
    decode_part,
    encode_parts,
    find_part,
)
from flist.errors import BlockError, FormatError
from flist.model import CHUNK_BYTES, MAX_BLOCK_BYTES, Block

SIZES = [1, 65535, 65536, 65537, 524287, 524288]


def content(kind: str, size: int) -> bytes:
    """Return bytes that do not compress, that do, or zeros."""
    if kind == "zero":
        return bytes(size)
    dice = random.Random(size)
    if kind == "random":
        return dice.randbytes(size)
    words = dice.choices([b"%d " % number for number in range(3000)], k=size // 2 + 1)
    return b"".join(words)[:size]


@pytest.fixture
def sample() -> tuple[Block, bytes, bytes, bytes]:
    """Return a block, the row of its parts, its encrypted and its plain bytes."""
    plain = content("text", CHUNK_BYTES - 1000)
    (block, data), row = encode_parts(plain, digest(plain))
    return block, row, data, plain


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["random", "text", "zero"])
def test_the_block_equals_that_of_encode(kind: str, size: int) -> None:
    plain = content(kind, size)
    encoded, row = encode_parts(plain, digest(plain))
    assert encoded == encode(plain)
    assert len(row) == ENTRY.size * count_parts(size)
    check_parts(encoded.block, row, encoded.data, plain)
    for number in range(count_parts(size)):
        part = find_part(row, size, number)
        data = encoded.data[part.start :][: part.length]
        start = number * PART_BYTES
        assert decode_part(encoded.block, part, data) == plain[start : start + PART_BYTES]


def test_the_parts_fill_the_block_between_the_length_and_the_tag(
    sample: tuple[Block, bytes, bytes, bytes],
) -> None:
    _, row, data, plain = sample
    parts = [find_part(row, len(plain), number) for number in range(count_parts(len(plain)))]
    ends = [part.start + part.length for part in parts]
    assert [part.start for part in parts[1:]] == ends[:-1]
    assert (parts[0].start, ends[-1]) == (3, len(data) - 16)


@pytest.mark.parametrize("change", [-ENTRY.size, -1, 1, ENTRY.size])
def test_a_row_of_another_length_is_refused(
    sample: tuple[Block, bytes, bytes, bytes], change: int
) -> None:
    block, row, data, plain = sample
    wrong = row[:change] if change < 0 else row + bytes(change)
    with pytest.raises(FormatError, match="do not fit its chunk"):
        find_part(wrong, len(plain), 0)
    with pytest.raises(FormatError):
        check_parts(block, wrong, data, plain)


@pytest.mark.parametrize("length", [MAX_BLOCK_BYTES, 2**31, 2**32 - 1])
def test_a_part_beyond_the_largest_block_is_refused(
    sample: tuple[Block, bytes, bytes, bytes], length: int
) -> None:
    _, row, _, plain = sample
    wrong = struct.pack("<I", length) + row[4:]
    for number in range(count_parts(len(plain))):
        with pytest.raises(FormatError, match="not inside"):
            find_part(wrong, len(plain), number)


def test_every_changed_byte_of_a_part_is_refused(
    sample: tuple[Block, bytes, bytes, bytes],
) -> None:
    block, row, data, plain = sample
    part = find_part(row, len(plain), 3)
    good = data[part.start :][: part.length]
    dice = random.Random(1)
    for _ in range(200):
        wrong = bytearray(good)
        wrong[dice.randrange(len(wrong))] ^= dice.randrange(1, 256)
        with pytest.raises(BlockError, match="another hash"):
            decode_part(block, part, bytes(wrong))
    for wrong_length in (good[:-1], good + b"x", b""):
        with pytest.raises(BlockError, match="another hash"):
            decode_part(block, part, wrong_length)


def test_a_part_with_the_right_hash_must_also_have_its_size(
    sample: tuple[Block, bytes, bytes, bytes],
) -> None:
    block, row, data, plain = sample
    part = find_part(row, len(plain), 3)
    good = data[part.start :][: part.length]
    for other in (part.size - 1, part.size + 1, 1, PART_BYTES * 8):
        with pytest.raises(BlockError, match=r"a part (does not unpack|has another length)"):
            decode_part(block, part._replace(size=other), good)
    for wrong in (part._replace(start=part.start + 1), part._replace(start=part.start + 16)):
        with pytest.raises(BlockError, match="does not unpack"):
            decode_part(block, wrong, good)
    with pytest.raises(BlockError):
        decode_part(Block(block.id, bytes(32)), part, good)


def swap(row: bytes) -> bytes:
    """Return a row with its second and third part swapped."""
    return row[:20] + row[40:60] + row[20:40] + row[60:]


def repeat(row: bytes) -> bytes:
    """Return a row whose second part is the first one, with the right hash."""
    return struct.pack("<I", 0) + row[4:20] + row[:20] + row[40:]


@pytest.mark.parametrize(
    "change",
    [
        swap,
        repeat,
        lambda row: struct.pack("<I", 1000) + row[4:],
        lambda row: bytes(len(row)),
        lambda row: row[:-1] + bytes([row[-1] ^ 1]),
    ],
    ids=["swapped", "repeated", "length", "zero", "hash"],
)
def test_wrong_rows_are_found(
    sample: tuple[Block, bytes, bytes, bytes], change: Callable[[bytes], bytes]
) -> None:
    block, row, data, plain = sample
    with pytest.raises((BlockError, FormatError)):
        check_parts(block, change(row), data, plain)


def test_a_row_of_another_block_is_found(sample: tuple[Block, bytes, bytes, bytes]) -> None:
    block, _, data, plain = sample
    other = content("random", len(plain))
    with pytest.raises(BlockError):
        check_parts(block, encode_parts(other, digest(other))[1], data, plain)
