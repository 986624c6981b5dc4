"""Arithmetic in GF(2^8), and the rows of the erasure code.

The field has the polynomial 0x11D. Shard r of a file is the value at x = r of the polynomial of
degree below k whose values at x = 0 .. k-1 are the data shards (0-stor_v2's `encoding.rs`, by way
of the crate `reed-solomon-erasure`: Vandermonde rows r^c times the inverse of the top square,
which is this interpolation). So the first k shards are the data, and any k shards give the rest.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

POLYNOMIAL = 0x11D
ORDER = 255
MAX_SHARDS = 256


def _powers() -> tuple[list[int], list[int]]:
    """Return the powers of the generator 2, twice over, and the logarithms."""
    exponentials, logarithms, value = [0] * (2 * ORDER), [0] * 256, 1
    for i in range(ORDER):
        exponentials[i] = exponentials[i + ORDER] = value
        logarithms[value] = i
        value <<= 1
        if value & 0x100:
            value ^= POLYNOMIAL
    return exponentials, logarithms


EXP, LOG = _powers()


def multiply(a: int, b: int) -> int:
    """Return the product of two elements."""
    return EXP[LOG[a] + LOG[b]] if a and b else 0


def invert(a: int) -> int:
    """Return 1/a; `a` is not 0."""
    return EXP[ORDER - LOG[a]]


@lru_cache(maxsize=256)
def products(factor: int) -> bytes:
    """Return the table of `factor` times every element, for `bytes.translate`."""
    return bytes(multiply(factor, b) for b in range(256))


def _log_of_product(factors: Iterable[int]) -> int:
    return sum(LOG[factor] for factor in factors)


@lru_cache(maxsize=64)
def parity_rows(k: int, m: int) -> tuple[bytes, ...]:
    """Return m rows of k factors: a parity shard is the sum of its row's products with the data."""
    below = [_log_of_product(j ^ i for i in range(k) if i != j) for j in range(k)]
    return tuple(_row(k, r, below) for r in range(k, k + m))


def _row(k: int, r: int, below: Sequence[int]) -> bytes:
    """Return Lagrange's factors at x = r: the product over i != j of (r - i) / (j - i)."""
    above = _log_of_product(r ^ i for i in range(k))
    return bytes(EXP[(above - LOG[r ^ j] - below[j]) % ORDER] for j in range(k))


def invert_matrix(rows: Sequence[bytes]) -> list[bytes]:
    """Return the inverse of a square matrix that has one (Gauss and Jordan)."""
    size = len(rows)
    work = [list(row) + [int(i == j) for j in range(size)] for i, row in enumerate(rows)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if work[i][column])
        work[column], work[pivot] = work[pivot], work[column]
        scale = products(invert(work[column][column]))
        own = work[column] = [scale[value] for value in work[column]]
        for i, row in enumerate(work):
            if i != column and row[column]:
                table = products(row[column])
                work[i] = [a ^ table[b] for a, b in zip(row, own, strict=True)]
    return [bytes(row[size:]) for row in work]


@lru_cache(maxsize=4096)
def recovery_rows(k: int, m: int, lost: tuple[int, ...], parity: tuple[int, ...]) -> list[bytes]:
    """Return the rows that make the data shards `lost` of the data that is left and of `parity`.

    The inputs of a row are the k data shards in order, with the parity shards (as many as are
    lost) in the places of the lost ones.
    """
    rows = [parity_rows(k, m)[number - k] for number in parity]
    inverse = invert_matrix([bytes(row[j] for j in lost) for row in rows])
    places = {number: i for i, number in enumerate(lost)}
    return [
        bytes(row[places[j]] if j in places else _dot(row, rows, j) for j in range(k))
        for row in inverse
    ]


def _dot(factors: bytes, rows: Sequence[bytes], column: int) -> int:
    total = 0
    for factor, row in zip(factors, rows, strict=True):
        total ^= multiply(factor, row[column])
    return total
