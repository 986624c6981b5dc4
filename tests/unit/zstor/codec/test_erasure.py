"""The erasure code: every loss it must bear, and those it can't."""

import itertools
import os
import random
from collections.abc import Sequence

import pytest

from zstor.codec import kernel
from zstor.codec.erasure import disperse, encode, join, pad, recover, unpad
from zstor.codec.galois import invert_matrix, multiply, parity_rows
from zstor.errors import DamagedError, LostError

K, M = 16, 4


@pytest.fixture(scope="module", name="shards")
def all_shards() -> list[bytes]:
    return disperse(os.urandom(1000), K, M)


def without(shards: Sequence[bytes], lost: Sequence[int]) -> dict[int, bytes]:
    return {n: shard for n, shard in enumerate(shards) if n not in lost}


def test_every_four_of_twenty_may_be_lost(shards: list[bytes]) -> None:
    patterns = list(itertools.combinations(range(K + M), M))
    assert len(patterns) == 4845
    for lost in patterns:
        assert recover(without(shards, lost), K, M, lost) == [shards[n] for n in lost]


def test_a_fifth_loss_says_which_shards_are_missing(shards: list[bytes]) -> None:
    draw = random.Random(5)
    for _ in range(200):
        lost = tuple(sorted(draw.sample(range(K + M), 5)))
        with pytest.raises(LostError, match="5 of 20 shards are missing, 4 may be") as caught:
            join(without(shards, lost), K, M)
        assert caught.value.missing == lost
        assert ", ".join(map(str, lost)) in caught.value.message


@pytest.mark.parametrize(("k", "m"), [(1, 1), (2, 3), (10, 10), (255, 1), (1, 255), (128, 128)])
def test_any_size_recovers_from_its_worst_losses(k: int, m: int) -> None:
    data = os.urandom(3 * k + 1)
    shards = disperse(data, k, m)
    draw = random.Random(k)
    for lost in (range(min(k, m)), draw.sample(range(k + m), m)):
        assert join(without(shards, list(lost)), k, m) == data


def test_parity_rows_are_those_of_the_reference() -> None:
    assert parity_rows(2, 2) == (bytes([3, 2]), bytes([2, 3]))
    assert parity_rows(3, 2) == (bytes([1, 1, 1]), bytes([15, 8, 6]))
    assert parity_rows(4, 2) == (bytes([27, 28, 18, 20]), bytes([28, 27, 20, 18]))


def test_python_computes_what_the_library_computes() -> None:
    assert kernel.load_library() is not None, "pyeclib carries ISA-L"
    for length in (1, 15, 16, 17, 63, 64, 65, 1000):
        data = [os.urandom(length) for _ in range(5)]
        slowly = [kernel.combine_slowly(row, data) for row in parity_rows(5, 3)]
        assert encode(data, 3) == slowly


def test_without_the_library_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shards = disperse(b"x" * 1001, 4, 2)
    monkeypatch.setattr(kernel, "load_library", lambda: None)
    assert disperse(b"x" * 1001, 4, 2) == shards
    assert join(without(shards, (0, 3)), 4, 2) == b"x" * 1001


def test_the_inverse_of_a_matrix_times_it_is_one() -> None:
    rows = [bytes([0, 1, 2]), bytes([3, 0, 5]), bytes([6, 7, 0])]
    inverse = invert_matrix(rows)
    for i, j in itertools.product(range(3), repeat=2):
        total = 0
        for x in range(3):
            total ^= multiply(inverse[i][x], rows[x][j])
        assert total == int(i == j)


@pytest.mark.parametrize("k", [1, 2, 16, 255, 256])
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 255, 256, 257])
def test_padding_comes_off_again(k: int, length: int) -> None:
    data = os.urandom(length)
    assert len(pad(data, k)) % k == 0
    assert unpad(pad(data, k), k) == data


@pytest.mark.parametrize("data", [b"", b"abc\x05", b"abc\x00"])
def test_invalid_padding_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError, match="padding"):
        unpad(data, 4)
