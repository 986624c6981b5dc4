"""An HTTP proxy for tests: passes on absolute GETs and CONNECT, and notes what was asked for."""

import contextlib
import http.client
import http.server
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

PIECE_BYTES = 1 << 16
PATIENCE_S = 30


class Proxy(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_GET(self) -> None:
        """Fetch a URL."""
        self.asked.append(self.path)
        parts = urlsplit(self.path)
        connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("GET", parts.path)
            answer = connection.getresponse()
            body = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        """Join the client with a server."""
        self.asked.append(f"CONNECT {self.path}")
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE_S) as server:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=join, args=(server, self.connection), daemon=True)
            back.start()
            join(self.connection, server)
            back.join(PATIENCE_S)
        self.close_connection = True

    def log_message(self, *words: object) -> None:
        """Log nothing."""


def join(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until the source ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(PIECE_BYTES):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def serve_proxy() -> Iterator[tuple[str, list[str]]]:
    """Run a proxy; yield its URL, and what it has been asked for."""
    asked: list[str] = []
    handler = type("OneProxy", (Proxy,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)
