"""The farm's key, asked of a registry through the node's proxy."""

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.api.farm import find_farm_key
from core.api.parameters import parse_parameters
from tests.helpers.proxy import serve_proxy
from tests.helpers.serving.certificates import make_authority

HOST = "127.0.0.1"
KEY = bytes(range(32))
ANSWER = json.dumps({"farm": 7, "owner": base64.b64encode(KEY).decode()}).encode()
WAIT_S = 30


class Registry(http.server.BaseHTTPRequestHandler):
    """Answers as a registry does to who asks for farm 7."""

    def do_GET(self) -> None:
        """Tell the owner."""
        assert self.path == "/base/api/v1/farms/7"
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *words: object) -> None:
        """Log nothing."""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Run a registry on https; yield its port."""
    files = make_authority(tmp_path / "authority", HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.root))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with http.server.ThreadingHTTPServer((HOST, 0), Registry) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(WAIT_S)


def test_the_key_is_asked_for_through_the_proxy(registry: int) -> None:
    words = f"farmer_id=7 registry=https://{HOST}:{registry}/base/"
    assert find_farm_key(parse_parameters(words)) == KEY
    with serve_proxy() as (proxy, asked):
        assert find_farm_key(parse_parameters(f"{words} net.proxy={proxy}")) == KEY
    assert asked == [f"CONNECT {HOST}:{registry}"]
