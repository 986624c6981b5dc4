"""Addresses that a server may be configured with."""

from pathlib import Path

import pytest

from bootstrap_server.errors import SettingsError
from bootstrap_server.settings import Settings


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://10.0.2.2:8080", "/"),
        ("http://10.0.2.2:8080/", "/"),
        ("https://bootstrap.example", "/"),
        ("https://bootstrap.example/zos/", "/zos/"),
        ("http://[fd00::1]:80/a_b~c", "/a_b~c/"),
    ],
)
def test_good_addresses(url: str, root: str) -> None:
    settings = Settings(url, url, Path("releases"))
    assert settings.public_url == settings.hub_url == url.rstrip("/")
    assert settings.root_path == root


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bootstrap.example",
        "ftp://x",
        "http://",
        "http://a b",
        "http://a\n",
        "http://a/${x}",
        "http://a/%0A",
        "http://u@h/",
        "http://a?b",
        "http://a#b",
        "http://a/" + "b" * 400,
    ],
)
def test_bad_addresses(url: str) -> None:
    with pytest.raises(SettingsError):
        Settings(url, "http://hub.example", Path())
    with pytest.raises(SettingsError):
        Settings("http://boot.example", url, Path())
