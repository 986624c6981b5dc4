"""Downloads: through a proxy, never more than was asked for, and stopped at once."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.debian import download
from common.debian.download import Download, NotOfferedError, apt_proxy, find_proxy
from common.run import CommandError
from tests.helpers.debian import Mirror, serve_mirror

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Serve files; no proxy is set."""
    for name in (*PROXIES, "all_proxy", "ALL_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "apt_proxy", lambda _: "")
    with serve_mirror() as found:
        yield found


def test_the_proxy_of_the_environment_is_asked(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", mirror.url)
    url = "http://mirror.invalid/pool/x.deb"
    mirror.files[url] = b"content"
    Download(url, 7, threading.Event()).save(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"content"
    monkeypatch.setenv("no_proxy", "mirror.invalid")
    assert find_proxy(url) == ""


@pytest.mark.parametrize(
    ("said", "proxy"),
    [(b"", ""), (b"http://proxy:3128\n", "http://proxy:3128"), (b"DIRECT\n", ""), (None, "")],
)
def test_the_proxy_of_apt_is_known(
    monkeypatch: pytest.MonkeyPatch, said: bytes | None, proxy: str
) -> None:
    def run(*_: object, **__: object) -> bytes:
        if said is None:
            raise CommandError("cannot run apt-config: not found")
        return said

    monkeypatch.setattr(download, "run", run)
    apt_proxy.cache_clear()
    assert apt_proxy("http") == proxy
    apt_proxy.cache_clear()


def test_a_file_that_is_too_long_is_not_read_to_its_end(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/x"] = b"x" * 1_000_000
    Download(f"{mirror.url}/x", 10, threading.Event()).save(tmp_path / "x")
    assert (tmp_path / "x").stat().st_size == 11


def test_a_stopped_download_ends(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/x"] = b"x" * 100
    stop = threading.Event()
    stop.set()
    with pytest.raises(NotOfferedError, match="stopped"):
        Download(f"{mirror.url}/x", 100, stop).save(tmp_path / "x")
