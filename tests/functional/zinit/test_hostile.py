"""Clients that ask for too much, read nothing, send odd bytes or hang up early harm no other."""

import contextlib
import json
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, count_fds, cpu_seconds, running_daemon

LINE = "x" * 500
FULL_RING = f"exec: sh -c 'yes {LINE} | head -2000'\noneshot: true"
LOGS = {"jsonrpc": "2.0", "id": 1, "method": "stream_currentLogs"}
STATS = {"jsonrpc": "2.0", "id": 1, "method": "service_stats", "params": ["a"]}
HALF = "\ud800"  # a lone surrogate, which JSON can hold and UTF-8 cannot


@pytest.fixture
def zinit(tmp_path: Path) -> Iterator[ZinitDaemon]:
    with running_daemon(tmp_path, a="exec: sleep 1000", full=FULL_RING) as daemon:
        daemon.wait_for_state("full", "Success")
        daemon.wait_for_state("a", "Running")
        wait_until(lambda: len(daemon.lines()) == 2000, "the ring is full")
        yield daemon
        assert "internal error" not in daemon.said()


def connect(zinit: ZinitDaemon, data: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(str(zinit.socket))
    sock.sendall(data)
    return sock


def ask(zinit: ZinitDaemon, data: bytes) -> list[Any]:
    """Send requests, close our side, and return all replies."""
    with connect(zinit, data) as sock:
        sock.shutdown(socket.SHUT_WR)
        reply = b""
        while part := sock.recv(1 << 20):
            reply += part
    return [json.loads(line) for line in reply.splitlines()]


def call(zinit: ZinitDaemon, method: str, *params: object) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    (reply,) = ask(zinit, json.dumps(request).encode())
    return reply


@pytest.mark.parametrize("command", [b"log snapshot\n", b"log\n", json.dumps(LOGS).encode()])
def test_a_half_closed_client_that_reads_nothing_costs_no_cpu_time(
    zinit: ZinitDaemon, command: bytes
) -> None:
    """Its end of file stays readable, and its replies cannot be sent."""
    with connect(zinit, command) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert zinit.client.list()
        before = cpu_seconds(zinit.pid)
        deadline = time.monotonic() + 1
        wait_until(lambda: time.monotonic() > deadline, "a second has passed")
        assert cpu_seconds(zinit.pid) - before < 0.3


@pytest.mark.parametrize("is_batch", [True, False])
@pytest.mark.parametrize(("request_", "count"), [(LOGS, 1000), (STATS, 700)])
def test_a_thousand_expensive_requests_delay_no_other_client(
    zinit: ZinitDaemon, request_: dict[str, object], count: int, is_batch: bool
) -> None:
    texts = [json.dumps(request_)] * count
    data = ("[" + ",".join(texts) + "]" if is_batch else "\n".join(texts)).encode()
    with connect(zinit, data):
        for _ in range(5):
            assert zinit.client.list()
    peak = Path(f"/proc/{zinit.pid}/status").read_text().split("VmHWM:")[1].split()[0]
    assert int(peak) < 150_000


def test_a_batch_whose_reply_is_too_large_is_an_error(zinit: ZinitDaemon) -> None:
    (reply,) = ask(zinit, json.dumps([LOGS] * 20).encode())
    assert reply["error"]["code"] == -32011
    (reply,) = ask(zinit, json.dumps([LOGS] * 3).encode())
    assert [len(one["result"]) for one in reply] == [2000] * 3


def test_a_batch_with_a_stop_gets_one_reply(zinit: ZinitDaemon) -> None:
    stop = {"jsonrpc": "2.0", "id": 7, "method": "service_stop", "params": ["a"]}
    listing = {"jsonrpc": "2.0", "id": 8, "method": "service_list"}
    silent = {"jsonrpc": "2.0", "method": "service_list"}
    (reply,) = ask(zinit, json.dumps([stop, silent, listing]).encode())
    assert {one["id"] for one in reply} == {7, 8}
    assert zinit.service_pid("a") == 0


def test_a_half_closed_client_gets_the_reply_to_a_stop(zinit: ZinitDaemon) -> None:
    assert call(zinit, "service_stop", "a") == {"jsonrpc": "2.0", "id": 1, "result": None}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("service_status", [HALF]),
        ("service_get", [HALF]),
        ("service_delete", [HALF]),
        ("service_monitor", [HALF]),
        ("service_create", [HALF, {"exec": "x"}]),
        ("stream_currentLogs", [HALF]),
        ("stream_subscribeLogs", [HALF]),
        ("service_create", ["two\nlines", {"exec": "x"}]),
        ("service_monitor", ["bell\x07"]),
    ],
)
def test_text_that_cannot_be_a_name_is_refused(
    zinit: ZinitDaemon, method: str, params: list[Any]
) -> None:
    assert call(zinit, method, *params)["error"]["code"] == -32602


def test_any_service_file_can_be_read(zinit: ZinitDaemon) -> None:
    zinit.write("odd", f"exec: x\na: --5\nb: {'9' * 5000}\nc: -12\nd: 1_0\n")
    expected = {"exec": "x", "a": "--5", "b": "9" * 5000, "c": -12, "d": "1_0"}
    assert call(zinit, "service_get", "odd")["result"] == expected
    assert call(zinit, "service_create", "half", {"exec": HALF})["result"]
    assert call(zinit, "service_monitor", "half")["error"]["code"] == -32005
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    assert call(zinit, "service_create", "deep", {"exec": deep})["result"]
    assert call(zinit, "service_monitor", "deep")["error"]["code"] == -32005


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("1e400", -32600),
        ("[1]", -32600),
        ('{"a": 1}', -32600),
        ("true", -32600),
        ('"\\ud800"', -32600),
        ("NaN", -32700),
        ("9" * 5000, -32700),
    ],
)
def test_an_id_is_text_or_a_number(zinit: ZinitDaemon, number: str, code: int) -> None:
    text = '{"jsonrpc": "2.0", "id": %s, "method": "service_list"}'
    (reply,) = ask(zinit, (text % number).encode())
    assert (reply["id"], reply["error"]["code"]) == (None, code)
    (reply,) = ask(zinit, (text % "-1.5").encode())
    assert reply["id"] == -1.5


def test_only_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.start()
        precious = tmp_path / "precious"
        precious.write_text("data")
        done = zinit.cli("proxy", "-a", f"unix:{precious}")
        assert (done.returncode, precious.read_text()) == (1, "data")
        assert "Not a socket" in done.stderr
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(tmp_path / "dead"))
        assert zinit.cli("proxy", "-a", f"unix:{tmp_path / 'dead'}").returncode == 0


def test_turning_clients_away_closes_no_other_descriptor(tmp_path: Path) -> None:
    """With hardly any descriptors left, not even the spare one, waiting clients are turned away."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", "exec: sleep 1000\nrestart: never")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        soft, hard = resource.prlimit(zinit.pid, resource.RLIMIT_NOFILE)
        used = max(int(path.name) for path in Path(f"/proc/{zinit.pid}/fd").iterdir())
        resource.prlimit(zinit.pid, resource.RLIMIT_NOFILE, (used + 1, hard))
        with contextlib.ExitStack() as stack:
            for _ in range(40):
                sock = stack.enter_context(socket.socket(socket.AF_UNIX))
                sock.connect(str(zinit.socket))
        resource.prlimit(zinit.pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert zinit.state("a") == "Running"
        os.kill(zinit.running_pid("a"), 9)
        zinit.wait_for_state("a", "Error(Signaled")


def test_a_thousand_idle_clients_and_garbage_keep_nobody_from_being_served(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Running")
        resource_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 1200 if resource_limit[0] > 1300 else 600
        socks = []
        try:
            for number in range(wanted):
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(10)
                sock.connect(str(zinit.socket))
                socks.append(sock)
                if number % 3 == 0:
                    with contextlib.suppress(OSError):
                        sock.sendall(b"stat")  # a line without an end
                if number % 100 == 0:
                    assert zinit.state("a") == "Running"
            assert zinit.state("a") == "Running"
        finally:
            for sock in socks:
                sock.close()
        for poison in (
            b"x" * (8 << 20),
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'"' * 400_000,
            b"\xff\xfe\n",
            b"\0\n",
            b"{}{}[]\n",
            b"[1,2,3]\n",
            b"{" + b"\\" * 300_000,
        ):
            with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
                sock.settimeout(10)
                sock.connect(str(zinit.socket))
                sock.sendall(poison)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            assert zinit.state("a") == "Running"
        assert "internal error" not in zinit.said()
        wait_until(lambda: count_fds(zinit.pid) < 40, "every connection is closed again")
