"""Addresses to listen on."""

import pytest

from common.errors import UsageError, ZosError
from common.serving import open_listener, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:0", ("::1", 0)),
        (":8080", ("::", 8080)),
    ],
)
def test_a_valid_address(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "80", "host:", "host:x", "host:65536", "host:-1", "host:٣"])
def test_an_invalid_address(text: str) -> None:
    with pytest.raises(UsageError, match="cannot listen on"):
        parse_address(text)


def test_a_port_in_use() -> None:
    with open_listener("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ZosError, match=f"cannot listen on 127.0.0.1:{port}"):
            open_listener("127.0.0.1", port)
