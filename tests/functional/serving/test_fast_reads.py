"""Reads that are answered below ASGI: the same answers, log lines, metrics and limits as above it.

An address with an empty query is answered by the application.
"""

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.flist.servers import make_certificate
from tests.helpers.serving.checks import check_stop_under_download
from tests.helpers.serving.plain import ask_plainly, talk
from tests.helpers.serving.process import ANSWER_S, Running, run_tiny
from tests.helpers.serving.tiny import TinySettings, create_app
from tests.helpers.tcp import read_all
from tests.helpers.waiting import wait_until

CONTENT = os.urandom(3_000_000)
SMALL = b"a small file"
COUNT = 'zos_http_requests_total{method="GET",route="/hot/{name}",status="200"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("hot")
    (found / "large").write_bytes(CONTENT)
    (found / "small").write_bytes(SMALL)
    (found / "empty").write_bytes(b"")
    return found


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    with run_tiny(folder) as running:
        yield running


@pytest.mark.parametrize("name", ["large", "small", "empty", "absent"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Range: bytes=3-7"],
        ["Range: bytes=-5"],
        ["Range: bytes=9999999-"],
        ["Range: bytes=2-", 'If-Range: "small"'],
        ["Range: bytes=2-", 'If-Range: "other"'],
        ['If-None-Match: W/"small"'],
        ["If-None-Match: *"],
        ["Connection: close"],
        ["Connection: Keep-Alive"],
        ["Content-Length: 0"],
        ["X-Request-ID: from-the-client"],
    ],
)
def test_both_ways_give_the_same(
    server: Running, name: str, method: str, headers: list[str]
) -> None:
    fast = ask_plainly(server.address, f"/hot/{name}", method, *headers)
    assert fast == ask_plainly(server.address, f"/hot/{name}?", method, *headers)
    if (name, method, headers) == ("large", "GET", []):
        assert fast[1] == CONTENT


def test_log_and_metrics_are_the_same(server: Running) -> None:
    before = server.metric(COUNT)
    rows = []
    for target, own_id in (("/hot/small", "request-1"), ("/hot/small?", "request-2")):
        server.ask(target, X_Request_ID=own_id)
        (row,) = wait_until(partial(server.find_lines, request_id=own_id), "the log line")
        assert row.pop("duration") > 0
        rows.append({key: row[key] for key in row if key not in ("time", "request_id")})
    assert rows[0] == rows[1]
    assert rows[0]["bytes"] == len(SMALL)
    assert server.metric(COUNT) == before + 2
    assert server.metric("zos_http_transfers_in_flight") == 1


def test_requests_of_one_connection_are_answered_in_order(server: Running) -> None:
    request = "GET /hot/{} HTTP/1.1\r\nHost: x\r\n{}\r\n"
    words = [("large", ""), ("small", ""), ("large?", "Range: bytes=0-9\r\n"), ("small", "")]
    texts = [request.format(*word) for word in words]
    for sent in (texts, ["".join(texts)], [texts[0], "".join(texts[1:])]):
        answer = talk(server.address, *sent)
        at = [answer.index(CONTENT), answer.index(SMALL), answer.rindex(CONTENT[:10])]
        assert at == sorted(at)
        assert answer.count(b"HTTP/1.1 ") == 4
        assert answer.endswith(SMALL)


def test_a_client_that_wants_no_more_gets_no_more(server: Running) -> None:
    one = "GET /hot/small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(server.address, ANSWER_S) as sock:
        sock.sendall(one.encode())
        assert read_all(sock).endswith(SMALL)
    old = talk(server.address, "GET /hot/small HTTP/1.0\r\n\r\n")
    assert old.endswith(SMALL)
    assert b"connection: close" in old.lower()


def test_a_request_in_two_pieces_is_answered_once(server: Running) -> None:
    with socket.create_connection(server.address, ANSWER_S) as sock:
        sock.sendall(b"GET /number/7 HT")
        wait_until(lambda: server.metric("zos_http_open_connections") == 2, "the first piece")
        sock.sendall(b"TP/1.1\r\nHost: x\r\n\r\nGET /hot/small HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.endswith(SMALL)


def test_what_was_removed_is_not_there(server: Running, folder: Path) -> None:
    (folder / "other").write_bytes(SMALL)
    assert server.ask("/hot/other").data == SMALL
    os.link(folder / "other", folder / "kept")
    (folder / "other").unlink()
    assert server.ask("/hot/other").status == 404


@pytest.mark.parametrize("target", ["/hot/file", "/file/file"])
def test_a_file_that_becomes_shorter_ends_the_response(tmp_path: Path, target: str) -> None:
    path = tmp_path / "file"
    with open(path, "wb") as stream:
        stream.truncate(1 << 30)
    with run_tiny(tmp_path) as server:
        with socket.create_connection(server.address, ANSWER_S) as sock:
            sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
            os.truncate(path, 1000)
            with contextlib.suppress(ConnectionError):
                assert len(read_all(sock)) < 1 << 30
        (line,) = wait_until(lambda: server.find_lines(path=target), "the log line")
        assert line["aborted"] is True
        assert server.find_lines(event="unexpected error")
        assert server.ask("/number/1").status == 200


def test_clients_that_read_nothing_are_closed_in_time(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(CONTENT * 7)
    with run_tiny(tmp_path, "--write-timeout", "2") as server:
        request = b"GET /hot/large HTTP/1.1\r\nHost: x\r\n\r\n"
        clients = []
        for _ in range(20):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(server.address)
            sock.sendall(request)
            clients.append(sock)
        wait_until(lambda: server.metric("zos_http_open_connections") <= 1, "the end of all")
        assert server.metric('zos_http_rejected_total{reason="write_timeout"}') == 20
        assert server.metric("zos_http_buffered_bytes") == 0
        assert server.metric("zos_http_transfers_in_flight") == 1
        assert len(server.find_lines(path="/hot/large", aborted=True)) == 20
        for sock in clients:
            sock.close()


def test_a_download_completes_while_the_server_stops(tmp_path: Path) -> None:
    data = CONTENT * 20
    (tmp_path / "large").write_bytes(data)
    with run_tiny(tmp_path) as server:
        check_stop_under_download(server, "/hot/large", hashlib.sha256(data).hexdigest())
        assert server.find_lines(event="stopped", cut_off=0)


def test_over_tls_files_are_read(tmp_path: Path, folder: Path) -> None:
    site = make_certificate(tmp_path / "tls")
    words: list[str | Path] = ["--tls-cert", site.site, "--tls-key", site.key]
    with run_tiny(folder, *words, authority=site.authority) as server:
        assert server.ask("/hot/large").data == CONTENT
        assert server.ask("/hot/large", Range="bytes=1-5").data == CONTENT[1:6]


@pytest.mark.parametrize("target", ["/hot/large", "/file/large"])
def test_the_kernel_sends_files(folder: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    real = os.sendfile

    def send(*words: Any) -> int:
        sent.append(real(*words))
        return sent[-1]

    monkeypatch.setattr(os, "sendfile", send)
    listener = open_listener("127.0.0.1", 0)
    with serve_in_thread(create_app(TinySettings(folder=folder)), listener):
        with socket.create_connection(listener.getsockname(), ANSWER_S) as sock:
            sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock).endswith(CONTENT)
    assert sum(sent) > len(CONTENT) // 2
