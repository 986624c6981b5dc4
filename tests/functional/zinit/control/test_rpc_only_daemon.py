"""The command on a daemon that speaks JSON-RPC only, as upstream's 0.2.28 does."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon

STATUS = {"name": "a", "pid": 0, "state": "Success", "target": "Down", "after": {}}
RESULTS: dict[str, Any] = {
    "rpc.discover": '{"methods":[{"name":"service_list"}]}',
    "service_list": {"a": "Running"},
    "service_status": STATUS,
    "service_start": None,
    "service_stop": None,
    "service_kill": None,
    "stream_currentLogs": ["[+] a: one", "[+] b: two"],
    "stream_subscribeLogs": 7,
}
NOTE = {"subscription": 7, "result": "[+] a: three"}


def answer(request: dict[str, Any]) -> bytes:
    """Return the reply to a request, and a log line after that to a subscription."""
    method, head = request["method"], {"jsonrpc": "2.0", "id": request["id"]}
    if method == "service_forget":
        return json.dumps({**head, "error": {"code": -32002, "message": "is up"}}).encode() + b"\n"
    reply = json.dumps({**head, "result": RESULTS[method]}).encode() + b"\n"
    if method == "stream_subscribeLogs":
        reply += json.dumps({"jsonrpc": "2.0", "method": method, "params": NOTE}).encode() + b"\n"
    return reply


class RpcOnly:
    """A daemon that waits for ever for the rest of what is no JSON."""

    def __init__(self, path: Path) -> None:
        self.methods: list[str] = []
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(str(path))
        self._sock.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        silent = []
        while True:
            try:
                client = self._sock.accept()[0]
            except OSError:
                break
            data = client.recv(65536)
            if not data.startswith(b"{"):
                silent.append(client)
                continue
            with client:
                request = json.loads(data)
                self.methods.append(request["method"])
                if request["method"] != "system_shutdown":
                    client.sendall(answer(request))
        for client in silent:
            client.close()

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._sock.close()


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[tuple[ZinitDaemon, RpcOnly]]:
    zinit = ZinitDaemon(tmp_path)
    daemon = RpcOnly(zinit.socket)
    yield zinit, daemon
    daemon.close()


def test_commands_are_sent_as_jsonrpc(peer: tuple[ZinitDaemon, RpcOnly]) -> None:
    zinit, daemon = peer
    begun = time.monotonic()
    for words, printed in (
        (("list",), "---\na: Running\n"),
        (("status", "a"), "---\nname: a\npid: 0\nstate: Success\ntarget: Down\nafter: {}\n"),
        (("start", "a"), ""),
        (("kill", "a"), ""),
        (("restart", "a"), ""),
        (("shutdown",), ""),
        (("log", "-s", "a"), "[+] a: one\n"),
        (("log",), "[+] a: one\n[+] b: two\n[+] a: three\n"),
    ):
        done = zinit.cli(*words)
        assert (done.returncode, done.stdout, done.stderr) == (0, printed, ""), words
    assert time.monotonic() - begun < 25, "it answered only after the time-out of 30 s"
    assert daemon.methods.count("service_start") == 2
    done = zinit.cli("forget", "a")
    assert (done.returncode, done.stderr) == (1, "is up\n")
    done = zinit.cli("reload")
    assert done.returncode == 1
    assert "JSON-RPC only" in done.stderr


def test_a_slow_answer_of_our_own_daemon_is_awaited(tmp_path: Path) -> None:
    loop = 'trap "sleep 1.5; exit" TERM; echo set; while :; do sleep 0.1; done'
    with running_daemon(tmp_path, a=f"exec: sh -c '{loop}'\nstop_timeout: 60") as zinit:
        zinit.wait_for_line("[+] a: set")
        pid = zinit.service_pid("a")
        assert zinit.cli("restart", "a").returncode == 0
        assert zinit.running_pid("a") != pid
