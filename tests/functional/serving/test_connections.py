"""Single connections that are odd, and the caps on them."""

import contextlib
import json
import random
import resource
import socket
import time
from pathlib import Path

import pytest

from tests.helpers.serving.process import ANSWER_S, Running, run_tiny
from tests.helpers.tcp import read_all
from tests.helpers.waiting import wait_until

CONTENT = bytes(range(256)) * 8000
FEW_FILES = 40
TWO_LENGTHS = (
    "POST /file/file HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
)


@pytest.fixture(autouse=True)
def content(tmp_path: Path) -> None:
    """Make a file to fetch."""
    (tmp_path / "file").write_bytes(CONTENT)


def connect(server: Running, text: str = "") -> socket.socket:
    """Return a connection on which `text` was sent."""
    sock = socket.create_connection(server.address, ANSWER_S)
    sock.sendall(text.encode())
    return sock


def split(answer: bytes) -> tuple[str, bytes]:
    """Return head and body of a response."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body


def test_a_client_that_closes_its_sending_half_is_answered(tmp_path: Path) -> None:
    with run_tiny(tmp_path) as server:
        with connect(server, "GET /file/file HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
            sock.shutdown(socket.SHUT_WR)
            head, body = split(read_all(sock))
        assert head.startswith("HTTP/1.1 200 ")
        assert body == CONTENT


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    texts = [f"GET /number/{number} HTTP/1.1\r\nHost: x\r\n\r\n" for number in range(50)]
    with run_tiny(tmp_path) as server, connect(server, "".join(texts)) as sock:
        sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock)
    places = [answer.index(b'{"value":%d}' % number) for number in range(50)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("nonsense\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nX: " + "x" * 20_000, 431, "header_size"),
        (TWO_LENGTHS + "0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ],
)
def test_what_is_not_a_request_is_a_problem(
    tmp_path: Path, text: str, status: int, reason: str
) -> None:
    with run_tiny(tmp_path) as server:
        with connect(server, text) as sock:
            head, body = split(read_all(sock))
        assert head.startswith(f"HTTP/1.1 {status} ")
        assert "application/problem+json" in head
        assert json.loads(body)["status"] == status
        assert server.metric(f'zos_http_rejected_total{{reason="{reason}"}}') == 1


def test_one_address_has_a_cap(tmp_path: Path) -> None:
    with run_tiny(tmp_path, "--max-connections-per-client", "3") as server:
        kept = [connect(server) for _ in range(3)]
        wait_until(lambda: server.file_count() > 8, "three connections")
        with connect(server) as sock:
            head, body = split(read_all(sock))
        assert head.startswith("HTTP/1.1 503 ")
        assert "Retry-After: 2" in head
        assert json.loads(body)["status"] == 503
        with socket.socket() as other:  # another address is served
            other.bind(("127.0.0.2", 0))
            other.settimeout(ANSWER_S)
            other.connect(server.address)
            other.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200 ")
        kept[0].close()
        wait_until(lambda: server.ask("/health").status == 200, "room for one more")
        for sock in kept:
            sock.close()


def test_a_refused_connection_is_one_log_line_in_a_while(tmp_path: Path) -> None:
    with run_tiny(tmp_path, "--max-connections-per-client", "1") as server:
        with connect(server):
            for _ in range(200):
                with connect(server) as sock:
                    assert sock.recv(100).startswith(b"HTTP/1.1 503 ")
        assert len(server.find_lines(event="connection refused")) in (1, 2)


def test_a_server_out_of_descriptors_backs_off_and_recovers(tmp_path: Path) -> None:
    with run_tiny(tmp_path) as server:
        assert server.ask("/health").status == 200
        server.limit_files(FEW_FILES)
        request = "GET /file/file HTTP/1.1\r\nHost: x\r\n\r\n"
        clients = [connect(server, request) for _ in range(3 * FEW_FILES)]
        wait_until(lambda: server.find_lines(event="cannot accept connections"), "the warning")
        began, used_s = time.monotonic(), server.cpu_s()
        wait_until(lambda: time.monotonic() > began + 2, "two seconds without descriptors")
        assert server.cpu_s() - used_s < 1.0
        assert len(server.find_lines(event="cannot accept connections")) <= 2
        assert "Traceback" not in server.log.read_text()
        assert server.file_count() <= FEW_FILES
        for sock in clients:
            sock.close()
        wait_until(lambda: server.ask("/file/file").data == CONTENT, "service as before")
        soft, _ = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        assert soft == FEW_FILES


def test_the_cap_fits_the_limit_of_descriptors(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    with run_tiny(tmp_path, prepare=limit) as server:
        clients = [connect(server) for _ in range(300)]
        assert server.ask("/file/file").data == CONTENT
        assert server.file_count() < 200
        assert server.metric('zos_http_rejected_total{reason="evicted"}') > 200
        assert not server.find_lines(event="cannot accept connections")
        for sock in clients:
            sock.close()


def test_a_client_that_goes_away_ends_its_download(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(1 << 34)
    with run_tiny(tmp_path) as server:
        with connect(server, "GET /file/large HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
            sock.recv(65536)
        (line,) = wait_until(lambda: server.find_lines(path="/file/large"), "the log line")
        assert line["aborted"] is True
        assert line["bytes"] < 1 << 30
        assert server.metric("zos_http_transfers_in_flight") == 1


def test_bodies_are_bounded_in_memory(tmp_path: Path) -> None:
    with run_tiny(tmp_path, "--max-body-memory", str(16 << 20)) as server:
        head = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n"
        clients = [connect(server, head) for _ in range(5)]
        for sock in clients:
            sock.settimeout(ANSWER_S)
        before = server.rss_bytes()
        refused = 0
        for sock in clients:
            try:
                sock.sendall(bytes(7_999_999))
            except ConnectionError:
                refused += 1
        wait_until(
            lambda: server.metric('zos_http_rejected_total{reason="body_memory"}') >= 1, "a refusal"
        )
        assert server.rss_bytes() - before < 100 << 20
        for sock in clients:
            sock.close()
        wait_until(lambda: server.ask("/body", "POST", bytes(1000)).status == 200, "room again")
        answer = server.ask("/body", "POST", bytes(9 << 20))
        assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")


def test_what_an_application_does_not_read_is_not_received(tmp_path: Path) -> None:
    """Clients send large bodies with requests for a large file, and do not read the file."""
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(1 << 30)
    head = "GET /file/large HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
    with run_tiny(tmp_path, "--max-buffered-bytes", str(16 << 20)) as server:
        before = server.rss_bytes()
        clients = [connect(server, head) for _ in range(200)]
        for sock in clients:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.send(bytes(2_000_000))
        wait_until(lambda: server.metric("zos_http_transfers_in_flight") > 200, "all transfers")
        assert server.rss_bytes() - before < 60 << 20
        for sock in clients:
            sock.close()


PARTS = [
    *("GET ", "POST ", "/number/1", "/body", "/file/file", " HTTP/1.1\r\n", " HTTP/9\r\n", "\r\n"),
    *("Host: x\r\n", "Content-Length: 5\r\n", "Content-Length: -1\r\n", "Expect: 100-continue\r\n"),
    *("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n", "zz\r\n", "0\r\n\r\n", "\0", "\xff" * 9),
    *("Connection: close\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\n", "Range: bytes=1-"),
]
CHUNKED = "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_thousand_malformed_requests_leave_no_error_in_the_log(tmp_path: Path) -> None:
    rng = random.Random(20261130)
    texts = ["".join(rng.choices(PARTS, k=rng.randint(1, 12))) for _ in range(1000)]
    texts += [CHUNKED + "5\r\nhello\r\nzz\r\n", CHUNKED + "5\r\nhelloX", CHUNKED + "-1\r\n"]
    texts += [CHUNKED.replace("/body", "/file/file") + "zz\r\n"]
    with run_tiny(tmp_path) as server:
        for text in texts:
            with contextlib.suppress(ConnectionError), connect(server) as sock:
                sock.sendall(text.encode("latin-1"))
                sock.shutdown(socket.SHUT_WR)
                read_all(sock)
        assert server.ask("/number/1").status == 200
        wait_until(lambda: server.metric("zos_http_open_connections") <= 1, "the end of all")
        assert not server.find_lines(level="error")
        assert "Traceback" not in server.log.read_text()
