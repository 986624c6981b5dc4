"""An upstream for mirrors: a server whose answers a test chooses, and that counts them."""

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE_BYTES = 1 << 14
WAIT_S = 60


class Upstream:
    """Serves `files` (path -> bytes) with ETags; the other fields are faults, by path or for all.

    `gate` holds every body back after its first piece until it is set.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.truncated: set[str] = set()
        self.altered: set[str] = set()
        self.status: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.reports: list[tuple[str, bytes]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.url = ""

    def etag(self, path: str) -> str:
        """Return the ETag of a file: its SHA-256, unless the test has chosen another."""
        return self.etags.get(path, f'"{hashlib.sha256(self.files[path]).hexdigest()}"')


@contextlib.contextmanager
def open_upstream(port: int = 0) -> Iterator[Upstream]:
    """Serve on the loopback until the block ends."""
    upstream = Upstream()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path
            upstream.asked[path] += 1
            if path in upstream.status or path not in upstream.files:
                self.send_head(upstream.status.get(path, 404), 0)
            elif self.headers.get("If-None-Match") == upstream.etag(path):
                self.send_head(304, None)
            else:
                self.send_file(path, upstream.files[path])

        def send_file(self, path: str, data: bytes) -> None:
            self.send_head(200, len(data), upstream.etag(path))
            if path in upstream.altered:
                data = data[:-1] + bytes([data[-1] ^ 1])
            if path in upstream.truncated:
                data = data[: len(data) // 2]
                self.close_connection = True
            upstream.sent[path] += len(data)
            self.wfile.write(data[:PIECE_BYTES])
            self.wfile.flush()
            upstream.gate.wait(WAIT_S)
            self.wfile.write(data[PIECE_BYTES:])

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            upstream.reports.append((self.path, body))
            self.send_head(204, None)

        def send_head(self, status: int, size: int | None, etag: str = "") -> None:
            self.send_response(status)
            if size is not None:
                self.send_header("Content-Length", str(size))
            if etag:
                self.send_header("ETag", etag)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
        thread.start()
        upstream.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield upstream
        finally:
            upstream.gate.set()
            server.shutdown()
            thread.join(WAIT_S)
