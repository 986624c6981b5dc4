"""The map of a sparse file in an archive: GNU's old form, and its pax forms 0.0, 0.1 and 1.0.

Source: GNU tar's manual, "Storing Sparse Files".
"""

from collections.abc import Callable

from flist.archive.errors import ArchiveError
from flist.archive.pax import parse_number
from flist.model import Extent

OLD_EXTRA = 504
BLOCK = 512
SPARSE_KEYS = frozenset(
    ("GNU.sparse.map", "GNU.sparse.major", "GNU.sparse.size", "GNU.sparse.numblocks")
)
MAX_EXTENTS = 100_000
Pairs = list[tuple[int, int]]


def parse_old_map(data: bytes) -> Pairs:
    """Return (offset, length) pairs without empty ones; a number has 12 bytes and is octal."""
    if len(data) % 24:
        raise ArchiveError("the archive is cut off")
    fields = [data[at : at + 12] for at in range(0, len(data), 12)]
    numbers = [parse_number(field) for field in fields]
    return [(o, n) for o, n in zip(numbers[::2], numbers[1::2], strict=True) if n]


def read_pax_map(records: dict[str, bytes], take: Callable[[int], bytes]) -> Pairs:
    """Return the pairs in a pax header or, in form 1.0, at the start of the content."""
    if (text := records.get("GNU.sparse.map")) is not None:
        return pair_up(text.split(b",") if text else [])
    if records.get("GNU.sparse.numblocks") == b"0":
        return []  # form 0.0 of a file without data
    if records.get("GNU.sparse.major") != b"1":
        raise ArchiveError("the archive holds a sparse file in a form that is not read here")
    data = take(BLOCK)
    lines = data.split(b"\n")
    count = 2 * parse_count(lines[0])
    while len(lines) < count + 2:  # the last line is incomplete
        data = lines.pop() + take(BLOCK)
        if len(data) > 2 * BLOCK:
            raise ArchiveError("the archive is broken: a sparse file's map is wrong")
        lines += data.split(b"\n")
    return pair_up(lines[1 : count + 1])


def parse_count(text: bytes) -> int:
    """Return a decimal number of pairs."""
    if not text.isdigit() or len(text) > 8 or int(text) > MAX_EXTENTS:
        raise ArchiveError("the archive is broken: a sparse file's map is wrong")
    return int(text)


def pair_up(words: list[bytes]) -> Pairs:
    """Return decimal numbers as pairs; empty ones are left out."""
    if len(words) % 2 or not all(word.isdigit() and len(word) < 20 for word in words):
        raise ArchiveError("the archive is broken: a sparse file's map is wrong")
    numbers = list(map(int, words))
    return [(o, n) for o, n in zip(numbers[::2], numbers[1::2], strict=True) if n]


def check_count(pairs: Pairs) -> None:
    """Raise `ArchiveError` for more pairs than memory is given to."""
    if len(pairs) > MAX_EXTENTS:
        raise ArchiveError(f"the archive holds a file with more than {MAX_EXTENTS} holes")


def check_extents(pairs: Pairs, size: int, stored: int) -> tuple[int, tuple[Extent, ...] | None]:
    """Return size and extents of a sparse file, without extents if it has no holes.

    Raises `ArchiveError` unless the extents are in order and match the size that is stored.
    """
    end = 0
    for start, length in pairs:
        if start < end or length < 0:  # GNU's base-256 form has negative numbers
            raise ArchiveError("the archive is broken: a sparse file's map is wrong")
        end = start + length
    total = sum(length for _, length in pairs)
    check_count(pairs)
    if not end <= size < 2**62 or total != stored:
        raise ArchiveError("the archive is broken: a sparse file's map is wrong")
    extents = tuple(Extent(start, length) for start, length in pairs)
    return size, None if extents == ((0, size),) else extents
