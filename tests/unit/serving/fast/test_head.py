"""What is recognised as a plain read is what h11 takes it for."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.connection import StrictParser
from serving.fast.head import recognise

PLAIN = b"GET /blocks/ab HTTP/1.1\r\nHost: x\r\n\r\n"
PARTS = [
    *(b"GET ", b"HEAD ", b"POST ", b"/a", b"/%41", b"/a?b", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"),
    *(b"Host: x\r\n", b"host:y\r\n", b"X-A: \r\n", b"X-A : 1\r\n", b" folded\r\n", b"\r\n", b"\n"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"),
    *(b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Range: bytes=1-\r\n", b"X: \0\r\n"),
    *(b"X: \xff\r\n", b"X: a\rb\r\n", b"abc"),
]


@given(st.lists(st.sampled_from(PARTS), max_size=9), st.booleans())
def test_h11_agrees_with_whatever_is_recognised(parts: list[bytes], is_whole: bool) -> None:
    data = b"".join([b"GET /a HTTP/1.1\r\n", *parts, b"\r\n"] if is_whole else parts)
    head = recognise(data)
    if head is None:
        return
    parser = StrictParser(h11.SERVER)
    parser.receive_data(data)
    request = parser.next_event()
    assert isinstance(request, h11.Request)
    assert isinstance(parser.next_event(), h11.EndOfMessage)
    assert parser.trailing_data == (b"", False)
    assert (request.method, request.target) == (head.method.encode(), head.path.encode())
    assert dict(request.headers) == {k.encode(): v.encode() for k, v in head.headers.items()}
    assert head.must_close == (b"close" in dict(request.headers).get(b"connection", b""))


def test_a_plain_read() -> None:
    head = recognise(PLAIN.replace(b"\r\n\r\n", b"\r\nRange:  bytes=1-2 \r\n\r\n"))
    assert head is not None
    assert (head.method, head.path) == ("GET", "/blocks/ab")
    assert head.headers == {"host": "x", "range": "bytes=1-2"}
    assert not head.must_close


@pytest.mark.parametrize(
    "data",
    [
        PLAIN[:-1],
        PLAIN + PLAIN,
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"Host: x\r\n", b""),
        PLAIN.replace(b"Host: x", b"Host: x\r\nHost: y"),
        PLAIN.replace(b"Host: x", b"Host: x\r\nContent-Length: 0"),
        PLAIN.replace(b"Host: x", b"Host: x\r\nConnection: upgrade\r\nUpgrade: h2c"),
        PLAIN.replace(b"Host: x", b"Host: x\r\nX-Forwarded-For: 192.0.2.1"),
        PLAIN.replace(b"/blocks", b"/%62locks"),
        PLAIN.replace(b"/blocks", b"/blocks?"),
        PLAIN.replace(b"\r\n", b"\n"),
    ],
)
def test_everything_else_is_left_to_the_parser(data: bytes) -> None:
    assert recognise(data) is None
