"""The HTTP and WebSocket interface: loopback or a Unix socket only, and only with the token."""

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

# Loopback, and nobody else's: a port that was free there a moment ago still is.
LONELY_HOST = "127.21.84.9"
LIST = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "service_list"}).encode()


class Web:
    """A daemon that serves HTTP on a Unix socket."""

    def __init__(self, zinit: ZinitDaemon, path: Path, token: str) -> None:
        self.zinit = zinit
        self.path = path
        self.token = token

    def connect(self) -> socket.socket:
        door = socket.socket(socket.AF_UNIX)
        door.settimeout(30)
        door.connect(str(self.path))
        return door

    def exchange(self, data: bytes) -> tuple[int, bytes]:
        """Send a request; return the status and the body."""
        with self.connect() as door:
            door.sendall(data)
            reply = b""
            while part := door.recv(65536):
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
    with web.connect() as door:  # no answer may be read by another origin's page
        head = f"POST / HTTP/1.1\r\nAuthorization: Bearer {web.token}\r\nOrigin: http://evil\r\n"
        door.sendall(f"{head}Content-Length: {len(LIST)}\r\n\r\n".encode() + LIST)
        assert b"access-control" not in door.recv(65536).lower()


def test_a_stop_is_answered_when_it_is_done(web: Web) -> None:
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
    with socket.create_connection((LONELY_HOST, port), 30) as door:
        door.sendall(b"POST / HTTP/1.1\r\n\r\n")
        assert b" 401 " in door.recv(4096)


def masked(text: bytes, first: int = 0x81) -> bytes:
    key = os.urandom(4)
    size = bytes((0x80 | len(text),)) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    data = bytes(byte ^ key[at % 4] for at, byte in enumerate(text))
    return bytes((first,)) + size + key + data


def read_frame(door: socket.socket) -> tuple[int, bytes]:
    head = door.recv(2, socket.MSG_WAITALL)
    size = head[1]
    if size == 126:
        size = int.from_bytes(door.recv(2, socket.MSG_WAITALL), "big")
    return head[0], door.recv(size, socket.MSG_WAITALL)


def upgrade(web: Web, door: socket.socket) -> None:
    """Turn a connection into a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET / HTTP/1.1\r\nAuthorization: Bearer {web.token}\r\nUpgrade: websocket\r\n"
    door.sendall(f"{head}Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        reply += door.recv(1)
    magic = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accepted = base64.b64encode(hashlib.sha1(magic.encode()).digest())
    assert b"101 Switching Protocols" in reply
    assert b"Sec-WebSocket-Accept: " + accepted in reply


@pytest.mark.parametrize(
    "frames",
    [
        masked(b"x", 0x83),  # a kind of frame that does not exist
        masked(b"x", 0x8B),
        masked(b"x" * 126, 0x89),  # a long ping
        masked(b"x", 0x09),  # a ping in parts
        masked(b"x", 0x80),  # a continuation of nothing
        masked(b"x", 0x01) + masked(b"y", 0x81),  # a message within another
        b"\x81\x01x",  # not masked
        b"\x81\xff\xff" + b"\xff" * 7,  # longer than anything
    ],
    ids=range(8),
)
def test_a_bad_frame_ends_a_websocket(web: Web, frames: bytes) -> None:
    with web.connect() as door:
        upgrade(web, door)
        door.sendall(frames + masked(LIST))
        assert read_frame(door) == (0x88, b"\x03\xea")
        assert door.recv(10) == b""


def test_nothing_is_done_after_a_close(web: Web) -> None:
    stop = {"jsonrpc": "2.0", "method": "service_stop", "params": ["a"]}
    with web.connect() as door:
        upgrade(web, door)
        closing = masked(b"\x03\xe8", 0x88)
        door.sendall(masked(LIST, 0x82) + closing + masked(json.dumps(stop).encode()))
        assert json.loads(read_frame(door)[1])["id"] == 1
        assert read_frame(door) == (0x88, b"\x03\xe8")
        assert door.recv(10) == b""
    assert web.zinit.service_pid("a") != 0


def test_a_batch_with_a_stop_has_all_replies(web: Web) -> None:
    stop = {"jsonrpc": "2.0", "id": 2, "method": "service_stop", "params": ["a"]}
    status, body = web.post(json.dumps([stop, json.loads(LIST)]).encode())
    assert (status, {one["id"] for one in json.loads(body)}) == (200, {1, 2})
    assert web.post(json.dumps({"jsonrpc": "2.0", "method": "service_list"}).encode()) == (204, b"")


def test_deep_json_is_an_error(web: Web) -> None:
    deep = b'{"jsonrpc":"2.0","id":1,"method":"service_create","params":["d",{"exec":%s}]}'
    status, body = web.post(deep % (b"[" * 400 + b"]" * 400))
    assert (status, "error" in json.loads(body)) == (200, True)
    status, body = web.post(deep % (b"[" * 100_000 + b"]" * 100_000))
    assert (status, json.loads(body)["error"]["code"]) == (200, -32700)


def test_websocket(web: Web) -> None:
    with web.connect() as door:
        upgrade(web, door)
        door.sendall(masked(LIST))
        first, text = read_frame(door)
        assert (first, json.loads(text)["id"]) == (0x81, 1)
        door.sendall(masked(LIST[:10], 0x01) + masked(b"hello", 0x89) + masked(LIST[10:], 0x80))
        assert read_frame(door) == (0x8A, b"hello")
        assert json.loads(read_frame(door)[1])["result"].keys() == {"a"}
        subscribe = {"jsonrpc": "2.0", "id": 2, "method": "stream_subscribeLogs", "params": []}
        door.sendall(masked(json.dumps(subscribe).encode()))
        read_frame(door)
        web.zinit.write("b", "exec: sh -c 'echo hi; exec sleep 1000'")
        web.zinit.client.monitor("b")
        lines = [json.loads(read_frame(door)[1])["params"]["result"] for _ in range(2)]
        assert lines[1] == "[+] b: hi"
        door.sendall(masked(b"\x03\xe8", 0x88))
        assert read_frame(door)[0] == 0x88
        assert door.recv(10) == b""


def test_the_socket_and_its_token_outlive_a_new_program(web: Web) -> None:
    assert web.zinit.cli("reexec").returncode == 0
    wait_until(lambda: "re-executed" in web.zinit.said(), "it starts anew")
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
    wait_until(lambda: web.zinit.said().count("re-executed") == 2, "it starts anew again")
    other = web.path.with_name("other")
    assert web.zinit.cli("proxy", "-a", f"unix:{other}").returncode == 0
    assert (web.path.exists(), other.is_socket()) == (False, True)
    assert web.zinit.end() == 0
    assert not other.exists()
