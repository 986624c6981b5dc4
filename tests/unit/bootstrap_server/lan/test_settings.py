"""What `zos bootstrap lan` can be told, and what it refuses before it does anything."""

import os

import pytest

from bootstrap_server.lan.interface import LanError
from bootstrap_server.lan.serve import serve
from bootstrap_server.lan.settings import LanSettings
from common.errors import UsageError
from serving.settings import load_settings

GIVEN = {"interface": "eth1", "server": "http://boot.example/", "farm": "1", "runmode": "dev"}


def load(**flags: object) -> LanSettings:
    """Return the settings of a command line."""
    return load_settings(LanSettings, {**GIVEN, **flags})


def test_what_is_given() -> None:
    settings = load(dns=["10.0.0.1,10.0.0.2", "10.0.0.3"], listen=":80", mirror_size="0.5")
    assert settings.server == "http://boot.example"
    assert settings.dns == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert (settings.port, settings.farm, settings.mirror_size) == (80, 1, 0.5)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("interface", "lan0\nport=53", "is not the name of a network interface"),
        ("listen", "0.0.0.0:80", "cannot listen on"),
        ("gateway", "10.9.0.1\ndhcp-script=/bin/sh", "cannot use 'gateway'"),
        ("dns", ["10.9.0.1", "dns.example"], "cannot use 'dns'"),
        ("server", "ftp://x", "as the server's or hub's URL"),
        ("hub", "http://x y", "as the server's or hub's URL"),
        ("dhcp", "both", "cannot use 'dhcp'"),
        ("farm", "0", "cannot use 'farm'"),
        ("mirror_size", "0", "cannot use 'mirror_size'"),
        ("mirror", "", "it is empty"),
    ],
)
def test_what_is_refused(key: str, value: object, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(**{key: value})
    assert text in caught.value.message


@pytest.mark.parametrize(("key", "value"), [("runmode", "none"), ("extra", "init=/bin/sh")])
def test_what_no_script_can_be_made_for(key: str, value: str) -> None:
    with pytest.raises(Exception, match=r"the run mode is one of|first process other than"):
        serve(load(**{key: value}), print)


def test_only_root_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LanError, match="only root may") as caught:
        serve(load(), print)
    assert caught.value.hint and caught.value.hint.startswith("sudo ")
