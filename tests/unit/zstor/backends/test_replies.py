"""Replies of servers that may be hostile."""

import pytest

from zstor.backends.replies import Refusal, Replies
from zstor.errors import BackendError


def replies(data: bytes, step: int = 1 << 16) -> Replies:
    parts = iter([data[i : i + step] for i in range(0, len(data), step)])
    return Replies(lambda _: next(parts, b""))


@pytest.mark.parametrize("step", [1, 3, 1 << 16])
def test_every_kind_of_reply_is_read(step: int) -> None:
    source = replies(
        b"+OK\r\n-Bad thing\r\n:-12\r\n$5\r\na\r\nbc\r\n$-1\r\n*2\r\n*1\r\n:1\r\n$0\r\n\r\n", step
    )
    expected = [b"OK", Refusal("Bad thing"), -12, b"a\r\nbc", None, [[1], b""]]
    assert [source.read(100) for _ in expected] == expected


@pytest.mark.parametrize(
    "data",
    [
        *(b"?\r\n", b"\r\n", b":x\r\n", b"$1x\r\n", b"$99999999999999999999999\r\n", b"x" * 9000),
        *(b"$200000\r\n", b"*100000\r\n", b"*1\r\n" * 5, b"+" + b"x" * 9000, b":\xb2\r\n"),
    ],
)
def test_what_is_no_reply_or_too_long_is_refused_before_it_is_read(data: bytes) -> None:
    with pytest.raises(BackendError):
        replies(data).read(100_000)


@pytest.mark.parametrize("data", [b"", b"+OK", b"$5\r\nabc", b"*2\r\n:1\r\n"])
def test_a_connection_that_ends_early_is_told(data: bytes) -> None:
    with pytest.raises(ConnectionResetError):
        replies(data).read(100)
