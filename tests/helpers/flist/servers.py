"""Real servers for the stores to talk to, and servers that misbehave."""

import contextlib
import http.server
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.helpers.flist.mount import end, free_port
from tests.helpers.needs import need_tool
from tests.helpers.waiting import wait_until

MANY = 128
"""The listen backlog: on a busy machine, connections beyond it are delayed by a second."""


def is_open(port: int) -> bool:
    """Return whether a port of the loopback accepts connections."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(call: list[str], port: int, **more: Any) -> Iterator[int]:
    """Run a server for the `with` block; it listens on `port` from the start."""
    process = subprocess.Popen(
        call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more
    )
    with process:
        try:
            wait_until(lambda: is_open(port) or process.poll() is not None, call[0])
            if process.poll() is not None:
                assert process.stderr is not None
                pytest.fail(f"{call[0]} ended: {process.stderr.read()}")
            yield port
        finally:
            end(process)


@contextlib.contextmanager
def redis_server(folder: Path, *words: str) -> Iterator[int]:
    """Run Redis without persistence."""
    port = free_port()
    call = [need_tool("redis-server"), "--port", str(port), "--save", "", "--dir", str(folder)]
    call += ["--bind", "127.0.0.1", "--unixsocket", str(folder / "redis.sock"), *words]
    with running(call, port):
        yield port


NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes {workers};
events {{ {events} }}
http {{
  access_log off; sendfile on; default_type application/octet-stream;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}{more} }}
}}
"""


@contextlib.contextmanager
def nginx_server(folder: Path, root: Path, events: str = "") -> Iterator[int]:
    """Serve the folder `root` with nginx."""
    for place in (root, *root.parents):
        with contextlib.suppress(PermissionError):
            place.chmod(place.stat().st_mode | 0o005)
    with run_nginx(folder, f"; root {root};", events) as port:
        yield port


@contextlib.contextmanager
def run_nginx(folder: Path, more: str, events: str = "", workers: int = 1) -> Iterator[int]:
    """Run nginx with the text `more` after the address in its `listen` directive.

    `events` is added to its events block; `workers` are its processes.
    """
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, more=more, port=port, events=events, workers=workers)
    )
    with running([need_tool("nginx"), "-c", str(config), "-e", "stderr"], port):
        yield port


class Talk(NamedTuple):
    """A connection to a test's server; `ended` is set when the test ends."""

    socket: socket.socket
    ended: threading.Event

    def hear(self) -> bytes:
        """Return received bytes, none at the end."""
        with contextlib.suppress(OSError):
            return self.socket.recv(65536)
        return b""

    def say(self, data: bytes) -> None:
        """Send `data`."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def drip(self, piece: bytes, pause_s: float = 0.05) -> None:
        """Send a piece every `pause_s` seconds until the client hangs up."""
        with contextlib.suppress(OSError):
            while not self.ended.wait(pause_s):
                self.socket.sendall(piece)


@contextlib.contextmanager
def serve_talk(talk: Callable[[Talk], None]) -> Iterator[int]:
    """Serve TCP for the `with` block, with `talk` in a thread per client; yields the port."""
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            talk(Talk(self.request, ended))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = MANY

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            ended.set()
            server.shutdown()
            thread.join(10)


@contextlib.contextmanager
def serve_handler(
    handler: type[http.server.BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve HTTP with `handler` in a thread for the `with` block; yields the port."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = MANY

    with Server(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


class Certificate(NamedTuple):
    """Files and context of a TLS server; `authority` is for `SSL_CERT_FILE` of its clients."""

    context: ssl.SSLContext
    authority: Path
    site: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """Make an authority, and a certificate for 127.0.0.1 that it has signed."""
    folder.mkdir(exist_ok=True)
    names = {name: folder / f"{name}.pem" for name in ("authority", "its-key", "site", "site-key")}
    call: list[str | Path] = [need_tool("openssl"), "req", "-x509", "-newkey", "ec", "-nodes"]
    call += ["-days", "2", "-pkeyopt", "ec_paramgen_curve:P-256"]
    own: list[str | Path] = [
        "-subj",
        "/CN=authority",
        "-out",
        names["authority"],
        "-keyout",
        names["its-key"],
    ]
    own += ["-addext", "keyUsage=critical,keyCertSign"]  # Python 3.13 demands it
    site: list[str | Path] = [
        "-subj",
        "/CN=site",
        "-out",
        names["site"],
        "-keyout",
        names["site-key"],
    ]
    site += ["-CA", names["authority"], "-CAkey", names["its-key"]]
    site += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
    for words in (own, site):
        subprocess.run([*call, *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(names["site"], names["site-key"])
    return Certificate(context, names["authority"], names["site"], names["site-key"])


@contextlib.contextmanager
def serve_tls_before(port: int, certificate: Certificate, folder: Path) -> Iterator[int]:
    """Serve TLS with nginx, in front of the HTTP server at `port`."""
    more = f" ssl; ssl_certificate {certificate.site}; ssl_certificate_key {certificate.key};"
    more += (
        f" location / {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header Host $http_host; }}"
    )
    with run_nginx(folder, more) as front:
        yield front
