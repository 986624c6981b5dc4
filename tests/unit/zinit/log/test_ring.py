"""The log ring and the line cutter are bounded, whatever services print."""

from hypothesis import given
from hypothesis import strategies as st

from zinit.log.ring import LINE_LIMIT, LineCutter, Ring, is_line_of


def test_the_oldest_lines_are_dropped_first() -> None:
    ring = Ring(3)
    for number in range(5):
        ring.append(b"%d" % number)
    assert ring.lines() == [b"2", b"3", b"4"]
    assert ring.read(0, 10) == ([b"2", b"3", b"4"], 5, 2)
    assert ring.read(4, 10) == ([b"4"], 5, 0)
    assert ring.read(5, 10) == ([], 5, 0)


def test_the_ring_is_bounded_in_bytes_and_holds_at_least_one_line() -> None:
    ring = Ring(0, bytes_limit=100)
    ring.append(b"x" * 60)
    ring.append(b"y" * 60)
    assert ring.lines() == [b"y" * 60]
    big = Ring(1000, bytes_limit=100)
    for _ in range(10):
        big.append(b"x" * 30)
    assert big.size_bytes <= 100


@given(st.lists(st.binary()))
def test_lines_are_cut_at_newlines(pieces: list[bytes]) -> None:
    cutter = LineCutter()
    lines = [line for piece in pieces for line in cutter.feed(piece)] + cutter.flush()
    expected = b"".join(pieces).split(b"\n")
    assert lines == (expected if expected[-1] else expected[:-1])


def test_a_line_without_end_is_cut() -> None:
    cutter = LineCutter()
    lines = []
    for _ in range(100):
        lines += cutter.feed(b"x" * 10_000)
        assert len(cutter.rest) <= LINE_LIMIT
    lines += cutter.flush()
    assert sum(map(len, lines)) == 1_000_000
    assert max(map(len, lines)) == LINE_LIMIT


def test_lines_are_selected_by_their_full_name() -> None:
    assert is_line_of(b"[+] a: x", "a")
    assert is_line_of(b"[-] stream:1: x", "stream:1")
    assert not is_line_of(b"[-] a/test: x", "a")
    assert not is_line_of(b"[-] ab: x", "a")
