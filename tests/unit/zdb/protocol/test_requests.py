"""Requests from bytes: the same ones however the bytes arrive, and no way to hurt the parser."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.helpers.zdb.served import pack
from zdb.protocol.requests import MAX_REQUEST, Request, RequestParser
from zdb.values import MAX_VALUE

WORDS = st.lists(
    st.binary(max_size=40)
    | st.sampled_from([b"", b"\r\n", b"\n", b"*1\r\n", b"$1\r\nx", b"SET"])
    | st.integers(16380, 16390).map(lambda size: b"v" * size),
    min_size=1,
    max_size=6,
)
HOSTILE = st.lists(
    st.binary(max_size=12)
    | st.sampled_from(
        [b"*", b"$", b"\r\n", b"\n", b"-1", b"0", b"3", b"999999999999", b"*1\r\n$4"]
    ),
    max_size=30,
).map(b"".join)


def feed(data: bytes, sizes: list[int]) -> tuple[list[Request], str | None]:
    """Return requests and error of `data` in parts of the given sizes, repeated."""
    parser, requests, at, turn = RequestParser(), list[Request](), 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        requests += parser.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    return requests, parser.error


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=8), st.lists(st.integers(1, 64), min_size=1))
def test_requests_are_the_same_however_they_arrive(
    batch: list[list[bytes]], sizes: list[int]
) -> None:
    data = b"".join(pack(*words) for words in batch)
    expected = [tuple(words) for words in batch]
    assert feed(data, [len(data)]) == (expected, None)
    assert feed(data, sizes) == (expected, None)


@settings(max_examples=500, deadline=None)
@given(HOSTILE, st.lists(st.integers(1, 9), min_size=1))
@example(b"*1\r\n*1000000000\r\n", [1])
def test_any_bytes_give_requests_or_an_error(data: bytes, sizes: list[int]) -> None:
    whole = feed(data, [max(1, len(data))])
    assert feed(data, sizes) == whole
    parser = RequestParser()
    parser.feed(data)
    assert parser.held <= len(data)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"PING\r\n", "Malformed request, array expected"),
        (b"\r\n", "Malformed request, array expected"),
        (b"*1\r\n+PING\r\n", "Malformed query string"),
        (b"*1\r\n:1\r\n", "Malformed query string"),
        (b"*1\r\n$x\r\n", "Malformed query string"),
        (b"*1\r\n$-1\r\n", "Malformed query string"),
        (b"*0\r\n", "Missing arguments"),
        (b"*abc\r\n", "Missing arguments"),
        (b"*-1\r\n", "Internal memory error"),
        (b"*1025\r\n", "Too many arguments"),
        (b"*1\r\n$8388609\r\n", "Payload too big"),
        (b"*" + b"1" * 40, "Malformed query string"),
        (b"*1\r\n$" + b"1" * 40, "Malformed query string"),
    ],
)
def test_what_is_no_request(data: bytes, error: str) -> None:
    parser = RequestParser()
    assert parser.feed(pack("PING") + data) == [(b"PING",)]  # what came before counts
    assert parser.error == error
    assert parser.feed(pack("PING")) == []


def test_quirks_of_lines() -> None:
    assert feed(b"*1\n$4\nPING\r\n", [99]) == ([(b"PING",)], None)
    assert feed(b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", [99]) == ([(b"PING",)] * 2, None)


def test_a_request_has_a_limit_as_a_whole() -> None:
    parser = RequestParser()
    parser.feed(
        b"*3\r\n$%d\r\n%b\r\n$%d\r\n" % (MAX_VALUE, b"x" * MAX_VALUE, MAX_REQUEST - MAX_VALUE)
    )
    assert parser.error is None
    parser.feed(b"x" * (MAX_REQUEST - MAX_VALUE) + b"\r\n$1\r\n")
    assert parser.error == "Payload too big"
    assert parser.held == 0


def test_a_byte_at_a_time_takes_no_longer_the_more_there_is() -> None:
    """The parser keeps its place: 1,000 arguments are looked at once each."""
    parser = RequestParser()
    for byte in pack(*["k" * 10] * 1000)[:-1]:
        assert parser.feed(bytes([byte])) == []
    assert len(parser._buffer) < 32
