"""What every server on the kit must do: checked with the tiny server and with the real ones."""

import contextlib
import hashlib
import re
import socket
import statistics
import time

from tests.helpers.serving.crowd import crowd
from tests.helpers.serving.process import ANSWER_S, Running
from tests.helpers.waiting import wait_until

CLIENTS = 5000
COME_S = 240  # for all of them; half a minute of a processor, which others use, too
# Flags: with the usual time-outs, the first of a crowd are gone before the last has come.
PATIENT = [
    word for name in ("header", "idle", "body", "write") for word in (f"--{name}-timeout", "600")
]
GOOD_REQUESTS = 20
# A few milliseconds; a busy machine adds its own (see bench/bench_serving.py), most of all to the
# one request during which thousands of clients go.
GOOD_S, LONGEST_S = 0.2, 10.0
GROWTH_BYTES = 200_000_000
SPARE_FILES = 64
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")


def check_good_client(server: Running, path: str) -> float:
    """Return the median time of a few requests in seconds; it must be short, and none be long."""
    times = []
    for _ in range(GOOD_REQUESTS):
        began = time.monotonic()
        assert server.ask(path).status == 200
        times.append(time.monotonic() - began)
    assert max(times) < LONGEST_S, times
    median_s = statistics.median(times)
    assert median_s < GOOD_S, times
    return median_s


def check_crowd(server: Running, large: str, good: str, max_connections: int) -> None:
    """Let 5,000 bad clients come, and check what a good one and the machine notice of them.

    The server is `PATIENT`.
    """
    check_good_client(server, good)
    before = server.rss_bytes()
    with crowd(server.address, CLIENTS, large):
        wanted = min(CLIENTS, max_connections) * 0.8  # some are closed at once
        wait_until(
            lambda: server.metric("zos_http_open_connections") >= wanted, "the crowd", COME_S
        )
        median_s = check_good_client(server, good)
        growth, files = server.rss_bytes() - before, server.file_count()
        print(f"{max_connections=}: {median_s * 1000:.1f} ms, {growth=:,} bytes, {files=}")
        assert growth < GROWTH_BYTES
        assert files <= 2 * max_connections + SPARE_FILES
        assert server.metric("zos_http_buffered_bytes") <= 64 << 20
    check_good_client(server, good)


def check_operation(server: Running, path: str) -> None:
    """Check health, readiness, metrics, the log and problems; `path` is an address that exists."""
    assert server.ask("/health").json() == {"status": "ok"}
    ready = server.ask("/ready").json()
    assert (ready["status"], ready["reasons"]) == ("ready", {})
    answer = server.ask(path + "?token=secret", X_Request_ID="from-the-client")
    assert answer.status == 200
    assert answer.headers["x-request-id"] == "from-the-client"
    assert "zos_http_requests_total" in server.ask("/metrics").data.decode()
    wanted = {"event": "request", "request_id": "from-the-client"}
    (line,) = wait_until(lambda: server.find_lines(**wanted), "the log line")
    assert (line["level"], line["method"]) == ("info", "GET")
    assert (line["path"], line["status"], line["bytes"]) == (path, 200, len(answer.data))
    assert line["client"] == "127.0.0.1"
    assert 0 < line["duration"] < ANSWER_S
    assert STAMP.fullmatch(line["time"])
    assert "secret" not in server.log.read_text()
    for target, method, status in (("/a/b/c/d/e", "GET", 404), (path, "DELETE", 405)):
        problem = server.ask(target, method)
        assert problem.status == problem.json()["status"] == status
        assert problem.headers["content-type"] == "application/problem+json"
        assert problem.json()["title"] and problem.json()["detail"]
        assert re.fullmatch("[0-9a-f]{32}", problem.headers["x-request-id"])
        assert ("allow" in problem.headers) == (status == 405)


def start_download(server: Running, path: str) -> tuple[socket.socket, bytes]:
    """Return a connection on which `path` was requested, and the first bytes of the response."""
    sock = socket.create_connection(server.address, ANSWER_S)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock, sock.recv(65536)


def is_refused(server: Running) -> bool:
    """Return whether the server takes no new connection."""
    try:
        socket.create_connection(server.address, ANSWER_S).close()
    except ConnectionRefusedError:
        return True
    return False


def check_stop_under_download(server: Running, path: str, sha256: str) -> None:
    """Stop a server while a download runs: it completes, nothing else is taken, exit status 0."""
    sock, data = start_download(server, path)
    with sock, socket.create_connection(server.address, ANSWER_S) as idle:
        server.process.terminate()
        wait_until(lambda: is_refused(server), "the listener's end")
        assert idle.recv(1) == b""  # an idle connection is closed at once
        assert server.process.poll() is None
        body = bytearray(data)
        with contextlib.suppress(ConnectionError):
            while piece := sock.recv(1 << 20):
                body += piece
    head, _, content = bytes(body).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert hashlib.sha256(content).hexdigest() == sha256
    assert server.process.wait(ANSWER_S) == 0
