"""Console bytes as lines: splitting, control sequences, bounds, search."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qemu.lines import MAX_LINE_CHARS, LineBuffer


def texts(*pieces: bytes) -> list[str]:
    """Return the lines of the stream `pieces`, the unfinished one last."""
    buffer = LineBuffer()
    for number, piece in enumerate(pieces):
        buffer.feed(piece, float(number))
    return [line.text for line in buffer.since(0)]


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"one\r\ntwo\n"], ["one", "two"]),
        ([b"one\r", b"\ntwo"], ["one", "two"]),
        ([b"10%\r20%\r"], ["10%", "20%"]),
        ([b"\r\n\r\n"], []),
        ([b"gr\xc3", b"\xbcn\n"], ["gr\u00fcn"]),
        ([b"bad \xff byte\n"], ["bad \ufffd byte"]),
        # As written by OVMF: colours, mode changes, and cursor movements in place of new lines.
        (
            [b"\x1b[2J\x1b[01;01H\x1b[=3h\x1b[2JBds\x1b[0m\x1b[37mDxe\x1b[02;01Hnext"],
            ["BdsDxe", "next"],
        ),
        ([b"a\x1b", b"[1", b";31mb\n"], ["ab"]),
        ([b"a\x1b[1;31"], ["a"]),
        ([b"\x1b]0;title\x07text\n"], ["text"]),
        ([b"bell\x07 and\x00 nul  \n"], ["bell and nul"]),
    ],
)
def test_bytes_become_lines(pieces: list[bytes], lines: list[str]) -> None:
    assert texts(*pieces) == lines


TRICKY = st.sampled_from(
    [
        b"\x1b",
        b"[",
        b"1;2",
        b"H",
        b"m",
        b"]",
        b"\x07",
        b"(",
        b"B",
        b"\r",
        b"\n",
        b"a",
        b" ",
        b"\xc3",
        b"\xbc",
        b"\x00",
    ]
)


@example(b"\x1b\x1bH[@", [3])
@example(b"\x1b(\x1bHB", [4])
@example(b"\x1b]a\x1bH\x07", [5])
@example(b"\x1b]\n\x07", [3])
@given(
    st.one_of(st.binary(max_size=99), st.lists(TRICKY, max_size=60).map(b"".join)),
    st.lists(st.integers(0, 99), max_size=5),
)
def test_lines_do_not_depend_on_how_the_stream_is_split(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert texts(*pieces) == texts(data)


def test_memory_is_bounded() -> None:
    buffer = LineBuffer(max_lines=3)
    buffer.feed(b"".join(b"%d\n" % number for number in range(10)), 1.0)
    assert [line.number for line in buffer.since(0)] == [7, 8, 9]
    assert [line.text for line in buffer.since(9)] == ["9"]
    endless = LineBuffer()
    for _ in range(100):
        endless.feed(b"x" * 1000, 1.0)
    assert len(endless.rest) <= MAX_LINE_CHARS
    assert endless.next_number > 1


def test_lines_are_numbered_and_timed() -> None:
    buffer = LineBuffer()
    assert buffer.feed(b"o", 1.0) == []
    (line,) = buffer.feed(b"ne\ntw", 2.0)
    assert line == (0, 2.0, "one")
    assert buffer.partial() == (1, 2.0, "tw")
    assert buffer.find("tw", 0, is_settled=False) is None
    assert buffer.find("tw", 0, is_settled=True) == (1, 2.0, "tw")
    assert buffer.find("one", 1, is_settled=True) is None
    assert buffer.find(re.compile("^o.e$"), 0, is_settled=False) == line
