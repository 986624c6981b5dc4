"""HTTP stores with passwords, redirects and TLS: secrets go to their own server only."""

import base64
import http.server
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from flist.errors import StoreError, StoreUnavailableError
from flist.http import redirects
from flist.store import http as http_store
from flist.store.http import HttpStore
from flist.store.server import ServerStore
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.servers import Certificate, make_certificate, serve_handler
from tests.helpers.flist.stores import BLOCK, DATA
from tests.helpers.flist.trees import describe, make_small_tree

SECRET = "p@ss/wörd"
URL_SECRET = "p%40ss%2Fw%C3%B6rd"
BASIC = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
PLACE = f"/{BLOCK.id.hex()[:2]}/{BLOCK.id.hex()}"


class Site(http.server.BaseHTTPRequestHandler):
    """Serves the block to clients with the password; /to/NUMBER redirects to `targets[NUMBER]`."""

    protocol_version = "HTTP/1.1"
    password = ""
    status = 302
    targets: list[str]
    heard: list[tuple[str, str | None]]
    clients: set[object]

    def do_GET(self) -> None:
        """Answer."""
        said = self.headers.get("Authorization")
        self.heard.append((self.path, said))
        self.clients.add(self.client_address)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place = self.path.partition("?")[0]
        if place.startswith("/to/"):
            self.answer(self.status, b"moved", self.targets[int(place.split("/")[2])])
        elif self.password and said != self.password:
            self.answer(401, b"no")
        else:
            self.answer(200 if place.endswith(PLACE) else 404, DATA)

    do_HEAD = do_POST = do_GET  # noqa: N815 the library's names

    def answer(self, status: int, body: bytes, location: str | None = None) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location is not None:
            self.send_header("Location", location)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Log nothing."""


def new_site() -> type[Site]:
    """Return a site without recorded requests."""
    return type("OneSite", (Site,), {"targets": [], "heard": [], "clients": set()})


@pytest.fixture(name="sites")
def make_sites() -> Iterator[tuple[type[Site], type[Site], str, str]]:
    """Serve two sites; yields them and their hosts."""
    home, other = new_site(), new_site()
    with serve_handler(home) as port, serve_handler(other) as elsewhere:
        yield home, other, f"127.0.0.1:{port}", f"127.0.0.1:{elsewhere}"


Sites = tuple[type[Site], type[Site], str, str]


def test_a_password_opens_the_store(sites: Sites) -> None:
    home, _, host, _ = sites
    home.password = BASIC
    with closing(HttpStore(f"http://me:{URL_SECRET}@{host}/sub")) as store:
        assert store.get(BLOCK.id) == DATA
        assert store.has(BLOCK.id)
        with store.announce([BLOCK.id]):
            assert store.announced[BLOCK.id].take(BLOCK.id, store.client.be_patient(20)) == DATA
    assert {said for _, said in home.heard} == {BASIC}


@pytest.mark.parametrize("who", ["", "me@", f"you:{URL_SECRET}@", "me:hunter2@"])
def test_a_wrong_password_is_reported_but_not_shown(sites: Sites, who: str) -> None:
    home, _, host, _ = sites
    home.password = BASIC
    with closing(HttpStore(f"http://{who}{host}")) as store:
        for ask in (store.get, store.has):
            with pytest.raises(StoreError, match="401") as caught:
                ask(BLOCK.id)
            assert type(caught.value) is StoreError  # it is not retried
            assert URL_SECRET not in caught.value.message
            assert "hunter2" not in caught.value.message


def test_a_password_is_not_shown_by_a_command(sites: Sites, tmp_path: Path) -> None:
    home, _, host, _ = sites
    home.password = BASIC
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks",
        make_small_tree(tmp_path / "tree"))  # fmt: skip
    secret = f"http://me:hunter2@{host}"
    cache = ("-c", tmp_path / "cache")
    for words in (
        ("verify", "-m", tmp_path / "a.fl", "--store", secret),
        ("unpack", "-m", tmp_path / "a.fl", "--store", secret, *cache, tmp_path / "out"),
        ("mount", "-m", f"{secret}/a.fl", tmp_path / "tree"),
        ("unpack", "-m", tmp_path / "a.fl", "--store", f"http://me:hunter2@{host}/to/0/",
         *cache, tmp_path / "out"),
    ):  # fmt: skip
        home.targets[:] = ["ftp://me:hunter2@nowhere/"]
        done = rfs(*words, check=False)
        assert done.returncode == 1
        assert "hunter2" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("status", redirects.REDIRECTS)
def test_redirects_are_followed_without_secrets(sites: Sites, status: int) -> None:
    home, other, host, elsewhere = sites
    home.status = status
    home.targets[:] = [f"http://other:secret@{elsewhere}/there{PLACE}?signed=1", f"/here{PLACE}"]
    with closing(HttpStore(f"http://me:{URL_SECRET}@{host}/to/0?token=t")) as store:
        for _ in range(3):
            assert store.get(BLOCK.id) == DATA
        assert store.has(BLOCK.id)
    assert other.heard == [(f"/there{PLACE}?signed=1", None)] * 4
    assert len(other.clients) == len(home.clients) == 1
    home.heard.clear()
    with closing(HttpStore(f"http://me:{URL_SECRET}@{host}/to/1")) as store:
        assert store.get(BLOCK.id) == DATA
    assert home.heard == [(f"/to/1{PLACE}", BASIC), (f"/here{PLACE}", BASIC)]


def test_a_redirect_back_home_gets_no_secrets(sites: Sites) -> None:
    home, other, host, elsewhere = sites
    home.targets[:] = [f"http://{elsewhere}/to/0"]
    other.targets[:] = [f"http://{host}/back{PLACE}"]
    with closing(ServerStore(f"http://{host}/to/0", "token")) as store:
        assert store.get(BLOCK.id) == DATA
    with closing(HttpStore(f"http://me:{URL_SECRET}@{host}/to/0")) as store:
        assert store.get(BLOCK.id) == DATA
    assert [said for path, said in home.heard if path.startswith("/back")] == [None, None]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/to/0", "circles"), ("ftp://h/x", "to ftp:"), ("file:///etc/passwd", "to file:"),
        ("http://h:99999/", "no URL"), ("http://[", "no URL"), ("", "302"),
    ],
)  # fmt: skip
def test_invalid_redirects_are_refused(sites: Sites, target: str, said: str) -> None:
    home, _, host, _ = sites
    home.targets[:] = [target]
    with (
        closing(HttpStore(f"http://{host}/to/0")) as store,
        pytest.raises(StoreError, match=said) as caught,
    ):
        store.get(BLOCK.id)
    assert type(caught.value) is StoreError
    assert len(home.heard) <= redirects.MAX_REDIRECTS + 1


def test_uploads_do_not_follow_redirects(sites: Sites) -> None:
    home, other, host, elsewhere = sites
    home.status = 307
    home.targets[:] = [f"http://{elsewhere}/"]
    with (
        closing(ServerStore(f"http://{host}/to/0", "token")) as store,
        pytest.raises(StoreError, match="307"),
    ):
        store.put(BLOCK.id, DATA)
    assert other.heard == []


def test_pipelining_stops_if_blocks_are_elsewhere(sites: Sites) -> None:
    home, _, host, elsewhere = sites
    home.targets[:] = [f"http://{elsewhere}{PLACE}"]
    with closing(HttpStore(f"http://{host}/to/0")) as store:
        for _ in range(http_store.MAX_BROKEN + 3):
            with store.announce([BLOCK.id]):
                assert store.get(BLOCK.id) == DATA
        assert store.broken_left == 0


def test_redirects_lead_to_a_limited_number_of_servers(sites: Sites) -> None:
    home, _, host, _ = sites
    with ExitStack() as stack, closing(HttpStore(f"http://{host}/to/0")) as store:
        for _ in range(redirects.MAX_ELSEWHERE):
            port = stack.enter_context(serve_handler(new_site()))
            home.targets[:] = [f"http://127.0.0.1:{port}{PLACE}"]
            assert store.get(BLOCK.id) == DATA
        home.targets[:] = [f"http://localhost:1{PLACE}"]
        with pytest.raises(StoreError, match="too many"):
            store.get(BLOCK.id)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_tls(certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree is unpacked and mounted through https, if `SSL_CERT_FILE` names the authority."""
    tree = make_small_tree(tmp_path / "tree")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)

    class Folder(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *words: object) -> None:
            super().__init__(*words, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *words: object) -> None:
            """Log nothing."""

    with serve_handler(Folder, certificate.context) as port:
        url = f"https://127.0.0.1:{port}"
        done = rfs(
            "unpack", "-m", tmp_path / "a.fl", "--store", f"{url}/blocks", "-c", tmp_path / "cache",
            tmp_path / "out", check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "cannot trust" in done.stderr
        assert "SSL_CERT_FILE" in done.stderr
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
        words = ("--store", f"{url}/blocks", "-c", tmp_path / "cache")
        rfs("unpack", "-m", tmp_path / "a.fl", *words, tmp_path / "out")
        assert describe(tmp_path / "out") == describe(tree)
        words = ("--store", f"{url}/blocks", "-c", tmp_path / "cache2")
        with mounted(f"{url}/a.fl", tmp_path / "m", *words) as mount:
            assert describe(mount.path) == describe(tree)


def test_tls_for_another_name_or_to_plain_text(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, sites: Sites
) -> None:
    """A redirect from http to https is followed, one from https to http is not."""
    home, _, host, _ = sites
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    safe = new_site()
    with serve_handler(safe, certificate.context) as port:
        safe.targets[:] = [f"http://{host}{PLACE}"]
        home.targets[:] = [f"https://127.0.0.1:{port}{PLACE}"]
        with closing(HttpStore(f"http://{host}/to/0")) as store:
            assert store.get(BLOCK.id) == DATA
        with (
            closing(HttpStore(f"https://127.0.0.1:{port}/to/0")) as store,
            pytest.raises(StoreError, match="plain HTTP"),
        ):
            store.get(BLOCK.id)
        with (
            closing(HttpStore(f"https://localhost:{port}")) as store,
            pytest.raises(StoreError, match="cannot trust"),
        ):
            store.get(BLOCK.id)
        with (
            closing(HttpStore(f"http://127.0.0.1:{port}")) as store,
            pytest.raises(StoreUnavailableError),
        ):
            store.get(BLOCK.id)
