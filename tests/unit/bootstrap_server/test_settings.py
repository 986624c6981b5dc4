"""The addresses in a bootstrap server's settings."""

from pathlib import Path

import pytest

from bootstrap_server.errors import SettingsError
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from tests.helpers.asgi import ask


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
        "http://a:65536",
        "http://[::1]:99999/x",
        "http://a#b",
        "http://a/" + "b" * 400,
    ],
)
def test_bad_addresses(url: str) -> None:
    with pytest.raises(SettingsError):
        Settings(url, "http://hub.example", Path())
    with pytest.raises(SettingsError):
        Settings("http://boot.example", url, Path())


def make_releases(top: Path) -> Path:
    """Return a folder with a release for `dev`."""
    (top / "dev").mkdir(parents=True)
    for name in ("vmlinuz", "initramfs.zst"):
        (top / "dev" / name).write_bytes(b"x")
    return top


def test_browsers_can_have_another_address_than_nodes(tmp_path: Path) -> None:
    releases = make_releases(tmp_path)
    app = create_app(Settings("http://10.0.2.2:1", "http://hub", releases, "http://127.0.0.1:1"))
    page, script = ask(app, "/?farm=1&runmode=dev").text, ask(app, "/ipxe/dev/1").text
    assert "http://127.0.0.1:1/usb/dev/1" in page
    assert "10.0.2.2" not in page
    assert "http://10.0.2.2:1/kernel/dev" in script
    assert "127.0.0.1" not in script


def test_a_farmer_chooses_among_the_servers_own_mirrors(tmp_path: Path) -> None:
    mirrors = ("http://one.example", "http://two.example/zos/")
    app = create_app(
        Settings("http://boot", "http://hub", make_releases(tmp_path), mirrors=mirrors)
    )
    script = ask(app, "/ipxe/dev/1?mirror=http://two.example/zos").text
    bases = [line.split()[2] for line in script.splitlines() if line.startswith("set base")]
    hosts = ["http://two.example/zos", "http://boot", "http://one.example"]
    assert bases[:3] == [f"{host}/kernel/dev" for host in hosts]
    answer = ask(app, "/ipxe/dev/1?mirror=http://evil.example")
    assert answer.status == 422
    assert "mirror" in answer.text


@pytest.mark.parametrize(
    ("query", "field"),
    [("vlan=5&vlan=6", "vlan"), ("vlan=4095", "vlan"), ("address=x", "address"), ("x=1", "x")],
)
def test_a_wrong_option_is_refused_by_name(query: str, field: str, tmp_path: Path) -> None:
    app = create_app(Settings("http://boot", "http://hub", tmp_path))
    answer = ask(app, f"/ipxe/dev/1?{query}")
    assert answer.status == 422
    assert f'"{field}"' in answer.text


def test_options_of_an_address_are_in_the_script(tmp_path: Path) -> None:
    app = create_app(Settings("http://boot", "http://hub", make_releases(tmp_path)))
    query = "vlan=5&address=10.0.0.5/24&gateway=10.0.0.1&dns=9.9.9.9&console=ttyS1&ipv6=auto"
    (line,) = [
        line
        for line in ask(app, f"/ipxe/dev/1?{query}").text.splitlines()
        if line.startswith("kernel ")
    ]
    for word in (
        *("net.address=10.0.0.5/24", "net.gateway=10.0.0.1", "net.dns=9.9.9.9", "net.ipv6=auto"),
        *("vlan:priv=5", "console=ttyS1"),
    ):
        assert f" {word} " in line
    assert "console=tty0" not in line
