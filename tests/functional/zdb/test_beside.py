"""What runs beside the loop: hooks, metrics, and a process for each disk."""

import contextlib
import os
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from tests.helpers.flist.mount import free_port
from tests.helpers.processes import children_of
from tests.helpers.waiting import wait_until
from tests.helpers.zdb.served import Raw, ask, serving

HOOK = """#!/bin/sh
echo "$@" >> {log}
[ "$1" = namespace-created ] && exec sleep 600
exit 3
"""


def hooks_of(client: Raw) -> dict[str, list[Any]]:
    """Return what HOOKS lists, by name."""
    return {row[0].decode(): row[1:] for row in client.ask("HOOKS")}


def test_a_hook_that_hangs_is_killed_and_stops_nobody(tmp_path: Path) -> None:
    hook, log = tmp_path / "hook", tmp_path / "hook.log"
    hook.write_text(HOOK.format(log=log))
    hook.chmod(0o755)
    words = ("--hook", hook, "--hook-timeout", "1", "--file-size", str(1 << 16))
    with serving(tmp_path, *words) as server, Raw(server.port) as client:
        assert client.ask("NSNEW", "one") == "+OK"
        assert client.ask("SET", "a", b"x" * 60_000) == b"a"
        assert client.ask("SET", "b", b"x" * 60_000) == b"b"
        wait_until(lambda: hooks_of(client)["namespace-created"][4] == ":137", "the hook's end")
        seen = hooks_of(client)
        assert seen["ready"][4] == ":3"
        data = tmp_path / "disk" / "data" / "default"
        assert seen["jump-data"][0] == [os.fsencode(data / "d0"), os.fsencode(data / "d1")]
        assert server.stop() == 0
    lines = wait_until(lambda: "close\n" in log.read_text() and log.read_text(), "the last hook")
    assert str(lines).splitlines()[0] == f"namespaces-init {data.parents[1]}/index {data.parent}"
    assert "killed after 1 s" in server.log.read_text()


def test_a_hook_that_cannot_run_ends_the_start(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text("no program")
    with contextlib.suppress(AssertionError), serving(tmp_path, "--hook", hook):
        raise SystemError("the server has started")
    assert "not an executable file" in (tmp_path / "zdb.log").read_text()


def test_metrics_and_a_caller_that_is_silent(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(tmp_path, "--metrics", f"127.0.0.1:{port}") as server, Raw(server.port) as client:
        client.ask("SET", "k", "value")
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.send(b"GET /met")
            with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
                text = answer.read().decode()
        assert 'zdb_commands_total{command="SET"} 1.0' in text
        assert 'zdb_namespace_entries{namespace="default"} 1.0' in text
        assert "zdb_connections 1.0" in text
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"{url}/other", timeout=60)
            raise AssertionError
        info = client.ask("INFO").decode()
        assert "\ncommands_executed: 1\n" in info


def test_a_process_for_each_disk(tmp_path: Path) -> None:
    port = free_ports(2)
    words = ("--disk", tmp_path / "a", "--disk", tmp_path / "b", "--listen", f"127.0.0.1:{port}")
    with serving(tmp_path, *words, count=2) as server:
        assert sorted(server.urls) == [f"redis://127.0.0.1:{port + n}" for n in (0, 1)]
        assert ask(port, "SET", "k", "a") == b"k"
        assert ask(port + 1, "SET", "k", "b") == b"k"
        first, second = children_of(server.process.pid)
        os.kill(first, signal.SIGKILL)
        assert ask(port + 1, "GET", "k") == b"b"  # the other goes on
        wait_until(lambda: ask(port, "GET", "k") == b"a", "the process that was started anew")
        assert children_of(server.process.pid) != [first, second]
        assert server.stop() == 0


def test_the_processes_of_disks_end_with_their_parent(tmp_path: Path) -> None:
    words = ("--disk", tmp_path / "a", "--disk", tmp_path / "b")
    with serving(tmp_path, *words, count=2) as server:
        children = children_of(server.process.pid)
        assert len(children) == 2
        server.process.kill()
        wait_until(lambda: not any(map(psutil.pid_exists, children)), "the end of all")


def free_ports(count: int) -> int:
    """Return the first of some ports in a row that are free."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError, OverflowError), contextlib.ExitStack() as stack:
            for number in range(count):
                stack.enter_context(socket.create_server(("127.0.0.1", port + number)))
            return port
