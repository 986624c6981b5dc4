"""The rules of the HTTP client: redirects, retries, URLs, and whole or partial bodies."""

import http.server
from collections.abc import Callable
from contextlib import closing

import pytest

from common.errors import UsageError
from flist.errors import StoreError, StoreUnavailableError
from flist.http.client import Client
from flist.http.origin import BrokenTransferError
from flist.http.redirects import resolve
from flist.http.retry import Backoff, read_retry_after
from flist.http.urls import credentials, hide_secrets, path_of, split_url
from tests.helpers.flist.servers import serve_handler

LARGE = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends the answers of `answers` in turn; the last one is repeated."""

    protocol_version = "HTTP/1.1"
    answers: list[tuple[int, dict[str, str], bytes]]
    clients: set[object]
    requests: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        """Send the next answer; a Content-Length of its own may promise too much."""
        self.clients.add(self.client_address)
        self.requests.append((self.path, dict(self.headers)))
        status, headers, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = "Content-Length" in headers

    do_POST = do_GET  # noqa: N815 the library's name

    def log_message(self, *words: object) -> None:
        """Log nothing."""


Answer = tuple[int, dict[str, str], bytes]


def new_handler(*answers: Answer) -> type[Handler]:
    """Return a handler with answers."""
    fields = {"answers": list(answers), "clients": set(), "requests": []}
    return type("Fresh", (Handler,), fields)


def connect(port: int, path: str = "", tries: int = 1) -> Client:
    """Return a client that pauses next to nothing between tries."""
    url = f"http://me:secret@127.0.0.1:{port}{path}"
    return Client(url, max_bytes=1 << 20, tries=tries, first_pause_s=0.001)


def test_a_body_is_streamed_and_its_connection_used_again() -> None:
    handler = new_handler((200, {}, LARGE))
    with serve_handler(handler) as port, closing(connect(port)) as client:
        for _ in range(3):
            with client.open("GET", "x") as response:
                pieces = list(response.pieces())
            assert b"".join(pieces) == LARGE
            assert max(map(len, pieces)) <= 64 << 10
    assert len(handler.clients) == 1


def test_a_body_that_is_not_read_whole_closes_its_connection() -> None:
    handler = new_handler((200, {}, LARGE))
    with serve_handler(handler) as port, closing(connect(port)) as client:
        for _ in range(2):
            with client.open("GET", "x") as response:
                assert response.read(99) == LARGE[:100]
            assert not client.origin.idle
    assert len(handler.clients) == 2


def test_a_body_that_breaks_off_is_an_error() -> None:
    handler = new_handler((200, {"Content-Length": "100"}, b"x" * 60))
    with serve_handler(handler) as port, closing(connect(port)) as client:
        with client.open("GET", "x") as response:
            pieces = response.pieces()
            assert next(pieces)
            with pytest.raises(BrokenTransferError, match="cut off"):
                list(pieces)
        with pytest.raises(BrokenTransferError, match="cut off"):
            client.ask("GET", "x")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_server_gets_the_request_again(status: int) -> None:
    handler = new_handler((status, {}, b""), (status, {"Retry-After": "0"}, b""), (200, {}, b"y"))
    with serve_handler(handler) as port, closing(connect(port, tries=3)) as client:
        assert client.ask("GET", "x") == (200, b"y")


def test_the_last_answer_of_a_busy_server_is_returned() -> None:
    handler = new_handler((503, {}, b"busy"))
    with serve_handler(handler) as port, closing(connect(port, tries=3)) as client:
        assert client.ask("GET", "x") == (503, b"busy")
    assert len(handler.requests) == 3


def test_a_refusal_is_not_repeated() -> None:
    handler = new_handler((403, {}, b"no"))
    with serve_handler(handler) as port, closing(connect(port, tries=3)) as client:
        assert client.ask("GET", "x") == (403, b"no")
    assert len(handler.requests) == 1


def test_an_unknown_host_is_not_tried_again() -> None:
    def fail(*_words: object) -> None:
        raise AssertionError("it paused")

    client = Client("http://no-such-host.invalid/", max_bytes=1, tries=3)
    with closing(client), pytest.MonkeyPatch.context() as patch:
        patch.setattr("flist.http.client.time.sleep", fail)
        with pytest.raises(StoreUnavailableError, match="cannot reach"):
            client.ask("GET", "x")


def test_headers_follow_a_redirect_but_secrets_do_not() -> None:
    elsewhere = new_handler((206, {}, b"rest"))
    with serve_handler(elsewhere) as other:
        home = new_handler((307, {"Location": f"http://127.0.0.1:{other}/b c"}, b"moved"))
        with serve_handler(home) as port, closing(connect(port, "/base")) as client:
            with client.open("GET", "x", None, {"Range": "bytes=4-"}) as response:
                assert (response.status, response.is_home) == (206, False)
    ((path, headers),) = elsewhere.requests
    assert (path, headers["Range"]) == ("/b%20c", "bytes=4-")
    assert "Authorization" not in headers
    assert home.requests[0][1]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda client: client.ask("POST", "x", b"data"), 302),
        (lambda client: client.ask("GET", "x"), 200),
    ],
)
def test_only_reads_follow_redirects(
    ask: Callable[[Client], tuple[int, bytes]], status: int
) -> None:
    handler = new_handler((302, {"Location": "/y"}, b""), (200, {}, b""))
    with serve_handler(handler) as port, closing(connect(port)) as client:
        assert ask(client)[0] == status


def test_redirects_can_be_turned_off() -> None:
    handler = new_handler((302, {"Location": "/y"}, b""))
    with serve_handler(handler) as port:
        client = Client(f"http://127.0.0.1:{port}", max_bytes=1, is_following=False)
        with closing(client):
            assert client.ask("GET", "x")[0] == 302


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("/x?a=b", "http://a.example/x?a=b"),
        ("y", "http://a.example/dir/y"),
        ("//b.example/z", "http://b.example/z"),
        ("https://b.example:8443/", "https://b.example:8443/"),
    ],
)
def test_redirects_are_resolved(location: str, found: str) -> None:
    assert resolve("http://a.example/dir/file", location, "a").geturl() == found


@pytest.mark.parametrize("location", ["http://a.example/", "file:///x", "https://[bad", "x:"])
def test_redirects_from_tls_are_checked(location: str) -> None:
    with pytest.raises(StoreError):
        resolve("https://a.example/dir/file", location, "a")


def test_pauses_grow_and_vary() -> None:
    pauses = Backoff(1, 4)
    found = [pauses.next_s() for _ in range(5)]
    for pause, middle in zip(found, (1, 2, 4, 4, 4), strict=True):
        assert 0.7 * middle <= pause <= 1.3 * middle
    assert Backoff(1, 4).next_s(3) == 3
    assert Backoff(1, 4).next_s(600) == 4


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("", 0), ("-1", 0), ("1e9", 0), ("9999999", 0), ("Fri, 31 Dec 1999", 0), ("²", 0)],
)
def test_retry_after(text: str, seconds: float) -> None:
    assert read_retry_after(text) == seconds


@pytest.mark.parametrize("url", ["", "http://", "ftp://h/x", "http://h:99999/", "http://a b/"])
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Client(url, max_bytes=1)


def test_parts_of_urls() -> None:
    parts = split_url("http://me:p%40ss@h/a%20b c?q=ü&r=[1]")
    assert path_of(parts) == "/a%20b%20c?q=%C3%BC&r=[1]"
    assert credentials(parts) == "Basic bWU6cEBzcw=="
    assert credentials(split_url("http://h/")) == ""
    assert hide_secrets("see http://me:secret@h/x?token=t") == "see http://me:***@h/x?token=***"
