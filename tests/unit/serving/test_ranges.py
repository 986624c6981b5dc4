"""Range and condition headers, as RFC 9110 wants them read."""

import pytest

from serving.ranges import UnsatisfiableError, choose_range, is_match, parse_range

TAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", range(1)),
        ("bytes=0-9", range(10)),
        ("bytes=0-", range(10)),
        ("bytes=9-", range(9, 10)),
        ("bytes=2-100", range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-100", range(10)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=" + "9" * 30 + "-", None),
        ("bytes=٣-", None),
    ],
)
def test_parse(header: str | None, expected: range | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=-1", 0)])
def test_beyond_the_end(header: str, size: int) -> None:
    with pytest.raises(UnsatisfiableError):
        parse_range(header, size)


def test_if_range_must_name_this_content() -> None:
    assert choose_range("bytes=1-2", TAG, TAG, 10) == range(1, 3)
    assert choose_range("bytes=1-2", '"other"', TAG, 10) is None
    assert choose_range("bytes=1-2", f"W/{TAG}", TAG, 10) is None
    assert choose_range("bytes=99-", '"other"', TAG, 10) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        (TAG, True),
        (f'"x", W/{TAG}', True),
        ("*", True),
        ('"x"', False),
        ("abc", False),
    ],
)
def test_if_none_match(header: str | None, expected: bool) -> None:
    assert is_match(header, TAG) is expected
