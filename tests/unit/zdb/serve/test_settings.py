"""Settings that can't work are refused with what to do."""

from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from serving.settings import load_settings
from zdb.serve.command import settings_of
from zdb.serve.settings import ZdbSettings
from zdb.upstream import flags_of, make_parser


def load(**flags: Any) -> ZdbSettings:
    """Return settings from flags."""
    return load_settings(ZdbSettings, {"disk": [Path("d")], **flags})


@pytest.mark.parametrize("address", ["0.0.0.0:9900", ":9900", "[::]:1", "192.0.2.1:9900"])
def test_an_address_for_others_needs_a_password(address: str) -> None:
    with pytest.raises(UsageError, match="set admin"):
        load(listen=address)
    assert load(listen=address, admin="secret").listen == address


@pytest.mark.parametrize("address", ["127.0.0.1:9900", "[::1]:9900", "localhost:1"])
def test_loopback_needs_none(address: str) -> None:
    assert load(listen=address).admin == ""


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"disk": []}, "either disk is needed"),
        ({"data": Path("a"), "index": Path("b")}, "either disk is needed"),
        ({"data": Path("a"), "disk": []}, "data and index"),
        ({"listen": ""}, "listen and socket"),
        ({"protect": True}, "set admin"),
        ({"tls_cert": Path("a")}, "tls_cert and tls_key"),
        ({"listen": "nowhere"}, "nowhere"),
        ({"file_size": 1 << 32}, "file_size"),
    ],
)
def test_what_does_not_go_together(flags: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        load(**flags)


def test_each_disk_has_its_own_port_and_socket() -> None:
    settings = load(
        disk=[Path("a"), Path("b")], metrics="127.0.0.1:9100", socket=Path("/run/zdb.sock")
    )
    second = settings_of(settings, 1)
    assert second.folders() == (Path("b/data"), Path("b/index"))
    assert (second.listen, second.metrics) == ("127.0.0.1:9901", "127.0.0.1:9101")
    assert second.socket == Path("/run/zdb.sock.1")


def test_upstream_options() -> None:
    words = "-data d --index i --mode seq --port 7 --admin pw --protect --sync --datasize 524288"
    flags = flags_of(make_parser().parse_args(words.split()))
    settings = load_settings(ZdbSettings, flags)
    assert settings.folders() == (Path("d"), Path("i"))
    assert (settings.mode, settings.listen, settings.admin) == ("seq", "127.0.0.1:7", "pw")
    assert (settings.protect, settings.sync, settings.file_size) == (True, "always", 524288)
    alone = flags_of(make_parser().parse_args(["--socket", "/s"]))
    assert (alone["listen"], alone["socket"]) == ("", Path("/s"))
    both = flags_of(make_parser().parse_args(["--socket", "/s", "--dualnet"]))
    assert both["listen"] == "127.0.0.1:9900"


@pytest.mark.parametrize("words", ["--rotate 10", "--mode direct"])
def test_upstream_options_that_are_not_there(words: str) -> None:
    with pytest.raises(UsageError):
        flags_of(make_parser().parse_args(words.split()))


def test_disks_come_from_a_variable_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOS_ZDB_DISK", "/a /b")
    assert load_settings(ZdbSettings, {}).disk == [Path("/a"), Path("/b")]
