"""Bodies of HTTP requests: however they are cut, they are read alike, and bad ones are refused."""

import pytest

from zinit.control.httpbody import TooLongError, open_body
from zinit.control.rpctext import REQUEST_LIMIT, Cutter
from zinit.control.websocket import TEXT, WebSocket

CHUNKED = {"transfer-encoding": "chunked"}
WHOLE = b'5\r\n{"a":\r\n0;x="y"\r\n\r\n'


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"005;name=value\r\nhello\r\n1\r\n!\r\n000\r\nTrailer: x\r\n\r\n", b"hello!"),
        (b"A\r\n01234\r\n789\r\n0\r\n\r\n", b"01234\r\n789"),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_chunks_are_joined_however_they_arrive(text: bytes, body: bytes, step: int) -> None:
    reader = open_body(CHUNKED)
    found = [reader.feed(text[at : at + step]) for at in range(0, len(text), step)]
    assert found[-1] == body
    assert not any(found[:-1])


@pytest.mark.parametrize(
    "text",
    [
        b"x\r\n",
        b"\r\n",
        b"-1\r\n",
        b"+1\r\nx\r\n",
        b"0x1\r\nx\r\n",
        b"1_0\r\n",
        b"2\r\nxyz\r\n",
        b"1" * 300,
        b"0\r\n" + b"a: b\r\n" * 1000,
    ],
)
def test_bad_chunks_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"size|line|trailers"):
        open_body(CHUNKED).feed(text)


def test_long_bodies_are_refused() -> None:
    for text in (b"ffffffffff\r\n", b"%x\r\n" % (REQUEST_LIMIT + 1)):
        with pytest.raises(TooLongError):
            open_body(CHUNKED).feed(text)
    reader = open_body(CHUNKED)
    with pytest.raises(TooLongError):
        reader.feed(
            b"8000\r\n" + b"x" * 0x8000 + b"\r\n" * 1 + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 8
        )
    for length in (str(REQUEST_LIMIT + 1), "9" * 5000):
        with pytest.raises(TooLongError):
            open_body({"content-length": length})


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "x"},
        {"content-length": "-1"},
        {"content-length": "²"},
        {"transfer-encoding": "gzip, chunked"},
        {"transfer-encoding": "chunked", "content-length": "5"},
    ],
)
def test_unclear_lengths_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"length|coding"):
        open_body(headers)


def test_many_small_requests_are_cut_apart_in_linear_time() -> None:
    """Each copied all that followed it: a gigabyte for 64 KiB."""
    data = b"{}" * 30_000
    assert Cutter().feed(data) == [b"{}"] * 30_000
    cutter = Cutter()
    text = b'{"a":"\\\\\\"}]"}[1]'
    values = [value for at in range(len(text)) for value in cutter.feed(text[at : at + 1])]
    assert values == [b'{"a":"\\\\\\"}]"}', b"[1]"]


def test_many_small_frames_are_cut_apart() -> None:
    one = b"\x81\x82\x00\x00\x00\x00ab"
    messages, rest = WebSocket().cut(one * 8000 + one[:3])
    assert messages == [(TEXT, b"ab")] * 8000
    assert rest == one[:3]
