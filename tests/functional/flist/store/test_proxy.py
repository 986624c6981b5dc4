"""HTTP stores behind a proxy: `ZOS_PROXY`."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from common.errors import UsageError
from flist.errors import StoreUnavailableError
from flist.http.origin import PROXY
from flist.store.http import HttpStore
from tests.functional.flist.store.test_http import PLACE, new_site
from tests.helpers.flist.servers import make_certificate, serve_handler
from tests.helpers.flist.stores import BLOCK, DATA
from tests.helpers.proxy import serve_proxy


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Run a proxy; return what it has been asked for."""
    with serve_proxy() as (url, asked):
        monkeypatch.setenv(PROXY, url)
        yield asked


def test_blocks_come_through_the_proxy(asked: list[str]) -> None:
    site = new_site()
    with serve_handler(site) as port, closing(HttpStore(f"http://127.0.0.1:{port}/sub")) as store:
        assert store.get(BLOCK.id) == DATA
        with store.announce([BLOCK.id]):
            assert store.announced[BLOCK.id].take(BLOCK.id, store.client.be_patient(20)) == DATA
    assert asked == [f"http://127.0.0.1:{port}/sub{PLACE}"] * 2
    assert [path for path, _ in site.heard] == [f"/sub{PLACE}"] * 2


def test_the_proxy_sees_nothing_of_tls(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "tls")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    with (
        serve_handler(new_site(), certificate.context) as port,
        closing(HttpStore(f"https://127.0.0.1:{port}")) as store,
    ):
        assert store.get(BLOCK.id) == DATA
        with store.announce([BLOCK.id]):
            assert store.announced[BLOCK.id].take(BLOCK.id, store.client.be_patient(20)) == DATA
    assert set(asked) == {f"CONNECT 127.0.0.1:{port}"}


def test_a_proxy_that_is_down_is_said_to_be_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROXY, "http://127.0.0.1:1")
    with closing(HttpStore("http://127.0.0.1:2")) as store:
        with pytest.raises(StoreUnavailableError, match=r"through the proxy 127\.0\.0\.1:1"):
            store.get(BLOCK.id)


@pytest.mark.parametrize("url", ["proxy:3128", "socks5://proxy:1080", "http://"])
def test_what_is_no_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROXY, url)
    with pytest.raises(UsageError, match="a proxy is http://HOST:PORT"):
        HttpStore("http://127.0.0.1:2")
