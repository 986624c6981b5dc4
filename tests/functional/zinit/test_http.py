"""The HTTP and WebSocket interface: only on loopback or a Unix socket, only with the token."""

import base64
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon

# An address of loopback that no other program uses, so that a free port stays free.
LONELY_HOST = "127.21.84.9"
LIST = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "service_list"}).encode()


class Web:
    """A daemon that serves HTTP on a Unix socket."""

    def __init__(self, zinit: ZinitDaemon, path: Path, token: str) -> None:
        self.zinit = zinit
        self.path = path
        self.token = token

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(30)
        sock.connect(str(self.path))
        return sock

    def exchange(self, data: bytes) -> tuple[int, bytes]:
        """Send a request; return the status and the body."""
        with self.connect() as sock:
            sock.sendall(data)
            reply = b""
            while part := sock.recv(65536):
                reply += part
        head, _, body = reply.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def post(self, body: bytes, token: str | None = None) -> tuple[int, bytes]:
        used = self.token if token is None else token
        head = f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {used}\r\n"
        return self.exchange(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        path = tmp_path / "http"
        done = zinit.cli("proxy", "-a", f"unix:{path}")
        assert done.returncode == 0, done.stderr
        yield Web(zinit, path, done.stdout.split()[-1])


def test_requests_need_the_token(web: Web) -> None:
    assert web.post(LIST)[0] == 200
    assert json.loads(web.post(LIST)[1])["result"].keys() == {"a"}
    assert web.post(LIST, "")[0] == web.post(LIST, "x" * 48)[0] == 401
    assert web.exchange(b"GET / HTTP/1.1\r\n\r\n")[0] == 401
    assert web.exchange(b"nonsense\r\n\r\n")[0] == 400
    assert web.exchange(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n")[0] == 400
    assert web.exchange(b"x" * 20_000)[0] == 431
    with web.connect() as sock:  # pages of other origins must not read replies
        head = f"POST / HTTP/1.1\r\nAuthorization: Bearer {web.token}\r\nOrigin: http://evil\r\n"
        sock.sendall(f"{head}Content-Length: {len(LIST)}\r\n\r\n".encode() + LIST)
        assert b"access-control" not in sock.recv(65536).lower()


def test_a_request_may_come_in_chunks(web: Web) -> None:
    head = f"POST / HTTP/1.1\r\nAuthorization: Bearer {web.token}\r\n".encode()
    chunked = b"Transfer-Encoding: chunked\r\n"
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in LIST) + b"0\r\n\r\n"
    status, reply = web.exchange(head + chunked + b"\r\n" + body)
    assert (status, json.loads(reply)["result"].keys()) == (200, {"a"})
    assert web.exchange(head + chunked + b"\r\nx\r\n")[0] == 400
    assert web.exchange(head + chunked + b"Content-Length: 5\r\n\r\n")[0] == 400
    assert web.exchange(head + chunked + b"\r\nfffff\r\n")[0] == 413
    with web.connect() as sock:
        sock.sendall(head + chunked + b"Expect: 100-continue\r\n\r\n")
        assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert b"HTTP/1.1 200 OK" in sock.recv(4096)


def test_the_reply_to_a_stop_comes_when_the_service_is_down(web: Web) -> None:
    stop = {"jsonrpc": "2.0", "id": 1, "method": "service_stop", "params": ["a"]}
    status, body = web.post(json.dumps(stop).encode())
    assert (status, json.loads(body)["result"]) == (200, None)
    assert web.zinit.service_pid("a") == 0


def test_only_loopback_is_served(web: Web) -> None:
    for address in (
        "0.0.0.0:8080", "10.0.0.1:80", "example.org:80", "127.0.0.1:x", "[::]:80",
        "127.0.0.1.example.org:80",
    ):  # fmt: skip
        done = web.zinit.cli("proxy", "-a", address)
        assert done.returncode == 1, address
        assert "cannot serve HTTP" in done.stderr
    with socket.socket() as probe:
        probe.bind((LONELY_HOST, 0))
        port = probe.getsockname()[1]
    done = web.zinit.cli("proxy", "-a", f"{LONELY_HOST}:{port}")
    assert done.returncode == 0
    with socket.create_connection((LONELY_HOST, port), 30) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\n\r\n")
        assert b" 401 " in sock.recv(4096)


def masked(text: bytes, first: int = 0x81) -> bytes:
    key = os.urandom(4)
    size = bytes((0x80 | len(text),)) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    data = bytes(byte ^ key[at % 4] for at, byte in enumerate(text))
    return bytes((first,)) + size + key + data


def read_frame(sock: socket.socket) -> tuple[int, bytes]:
    head = sock.recv(2, socket.MSG_WAITALL)
    size = head[1]
    if size == 126:
        size = int.from_bytes(sock.recv(2, socket.MSG_WAITALL), "big")
    return head[0], sock.recv(size, socket.MSG_WAITALL)


def upgrade(web: Web, sock: socket.socket) -> None:
    """Turn a connection into a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET / HTTP/1.1\r\nAuthorization: Bearer {web.token}\r\nUpgrade: websocket\r\n"
    sock.sendall(f"{head}Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        reply += sock.recv(1)
    magic = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accepted = base64.b64encode(hashlib.sha1(magic.encode()).digest())
    assert b"101 Switching Protocols" in reply
    assert b"Sec-WebSocket-Accept: " + accepted in reply


@pytest.mark.parametrize(
    "frames",
    [
        masked(b"x", 0x83),  # an unknown kind of frame
        masked(b"x", 0x8B),
        masked(b"x" * 126, 0x89),  # a long ping
        masked(b"x", 0x09),  # a fragmented ping
        masked(b"x", 0x80),  # a continuation without a first frame
        masked(b"x", 0x01) + masked(b"y", 0x81),  # a message within another
        b"\x81\x01x",  # not masked
        b"\x81\xff\xff" + b"\xff" * 7,  # longer than the limit
    ],
    ids=range(8),
)
def test_a_bad_frame_ends_a_websocket(web: Web, frames: bytes) -> None:
    with web.connect() as sock:
        upgrade(web, sock)
        sock.sendall(frames + masked(LIST))
        assert read_frame(sock) == (0x88, b"\x03\xea")
        assert sock.recv(10) == b""


def test_requests_after_a_close_are_ignored(web: Web) -> None:
    stop = {"jsonrpc": "2.0", "method": "service_stop", "params": ["a"]}
    with web.connect() as sock:
        upgrade(web, sock)
        closing = masked(b"\x03\xe8", 0x88)
        sock.sendall(masked(LIST, 0x82) + closing + masked(json.dumps(stop).encode()))
        assert json.loads(read_frame(sock)[1])["id"] == 1
        assert read_frame(sock) == (0x88, b"\x03\xe8")
        assert sock.recv(10) == b""
    assert web.zinit.service_pid("a") != 0


def test_a_batch_with_a_stop_gets_all_replies(web: Web) -> None:
    stop = {"jsonrpc": "2.0", "id": 2, "method": "service_stop", "params": ["a"]}
    status, body = web.post(json.dumps([stop, json.loads(LIST)]).encode())
    assert (status, {one["id"] for one in json.loads(body)}) == (200, {1, 2})
    assert web.post(json.dumps({"jsonrpc": "2.0", "method": "service_list"}).encode()) == (204, b"")


def test_deeply_nested_json_is_an_error(web: Web) -> None:
    deep = b'{"jsonrpc":"2.0","id":1,"method":"service_create","params":["d",{"exec":%s}]}'
    status, body = web.post(deep % (b"[" * 400 + b"]" * 400))
    assert (status, "error" in json.loads(body)) == (200, True)
    status, body = web.post(deep % (b"[" * 100_000 + b"]" * 100_000))
    assert (status, json.loads(body)["error"]["code"]) == (200, -32700)


def test_websocket(web: Web) -> None:
    with web.connect() as sock:
        upgrade(web, sock)
        sock.sendall(masked(LIST))
        first, text = read_frame(sock)
        assert (first, json.loads(text)["id"]) == (0x81, 1)
        sock.sendall(masked(LIST[:10], 0x01) + masked(b"hello", 0x89) + masked(LIST[10:], 0x80))
        assert read_frame(sock) == (0x8A, b"hello")
        assert json.loads(read_frame(sock)[1])["result"].keys() == {"a"}
        subscribe = {"jsonrpc": "2.0", "id": 2, "method": "stream_subscribeLogs", "params": []}
        sock.sendall(masked(json.dumps(subscribe).encode()))
        read_frame(sock)
        web.zinit.write("b", "exec: sh -c 'echo hi; exec sleep 1000'")
        web.zinit.client.monitor("b")
        lines = [json.loads(read_frame(sock)[1])["params"]["result"] for _ in range(2)]
        assert lines[1] == "[+] b: hi"
        sock.sendall(masked(b"\x03\xe8", 0x88))
        assert read_frame(sock)[0] == 0x88
        assert sock.recv(10) == b""


def test_the_socket_and_its_token_survive_a_reexec(web: Web) -> None:
    assert web.zinit.cli("reexec").returncode == 0
    wait_until(lambda: "re-executed" in web.zinit.said(), "it re-executes")
    assert web.post(LIST)[0] == 200
    assert web.post(LIST, "x" * 48)[0] == 401
    again = web.zinit.cli("proxy", "-a", f"unix:{web.path}")
    assert again.returncode == 0, again.stderr
    assert web.post(LIST)[0] == 401, "a new token replaces the old one"
    token = again.stdout.split()[-1]
    assert web.post(LIST, token)[0] == 200
    assert web.zinit.cli("proxy", "-a", "10.0.0.1:80").returncode == 1
    assert web.post(LIST, token)[0] == 200, "an address that can't be served changes nothing"
    assert web.zinit.cli("reexec").returncode == 0
    wait_until(lambda: web.zinit.said().count("re-executed") == 2, "it re-executes again")
    other = web.path.with_name("other")
    assert web.zinit.cli("proxy", "-a", f"unix:{other}").returncode == 0
    assert (web.path.exists(), other.is_socket()) == (False, True)
    assert web.zinit.end() == 0
    assert not other.exists()
