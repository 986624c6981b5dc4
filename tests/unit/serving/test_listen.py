"""Addresses and listening sockets."""

import socket

import pytest

from common.errors import UsageError, ZosError
from serving.listen import UNSENT_BYTES, open_listener, own_url, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:0", ("::1", 0)),
        (":8080", ("::", 8080)),
    ],
)
def test_an_address_to_listen_on(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "80", "host:", "host:x", "host:65536", "host:-1", "host:٣"])
def test_what_is_not_an_address(text: str) -> None:
    with pytest.raises(UsageError, match="cannot listen on"):
        parse_address(text)


def test_a_port_that_is_taken() -> None:
    with open_listener("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ZosError, match=f"cannot listen on 127.0.0.1:{port}"):
            open_listener("127.0.0.1", port)


def test_a_connection_has_the_options_of_its_listener() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            wanted = {socket.TCP_NODELAY: 1, socket.TCP_NOTSENT_LOWAT: UNSENT_BYTES}
            for option, value in wanted.items():
                assert accepted.getsockopt(socket.IPPROTO_TCP, option) == value


def test_the_url_of_a_listener() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert own_url(listener) == f"http://127.0.0.1:{port}"
        assert own_url(listener, is_tls=True) == f"https://127.0.0.1:{port}"
