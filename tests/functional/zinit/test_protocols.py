"""Both protocols on one socket, the `zinit` command, and the services of upstream's nodes."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon


class Rpc:
    """A JSON-RPC connection."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(path))
        self.rest = b""

    def __enter__(self) -> "Rpc":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, text: str) -> None:
        self.sock.sendall(text.encode())

    def receive(self) -> Any:
        while b"\n" not in self.rest:
            part = self.sock.recv(65536)
            assert part, "the connection is closed"
            self.rest += part
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def call(self, method: str, *params: object, **named: object) -> Any:
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": named or list(params)}
        self.send(json.dumps(request))
        return self.receive()


@pytest.fixture
def rpc(zinit: ZinitDaemon) -> Iterator[Rpc]:
    with Rpc(zinit.socket) as one:
        yield one


@pytest.fixture
def zinit(tmp_path: Path) -> Iterator[ZinitDaemon]:
    with running_daemon(
        tmp_path, a="exec: sh -c 'echo hello; exec sleep 1000'", b="exec: sleep 1000\nafter: [a]"
    ) as daemon:
        daemon.wait_for_state("b", "Running")
        yield daemon


def test_requests_may_be_fragmented_adjacent_or_in_batches(rpc: Rpc) -> None:
    one = '{"jsonrpc":"2.0","id":1,"method":"service_status","params":{"name":"b"}}'
    for piece in (one[:10], one[10:40], one[40:]):
        rpc.send(piece)
    assert rpc.receive()["result"]["after"] == {"a": "Running"}
    rpc.send(one + one)  # no newline between them
    assert rpc.receive()["id"] == rpc.receive()["id"] == 1
    note = '{"jsonrpc":"2.0","method":"service_list"}'
    rpc.send(f'[{one},{note},{{"x":1}},{one.replace("b", "nope")}]')
    replies = rpc.receive()
    assert len(replies) == 3
    assert replies[1]["error"]["code"] == -32600
    rpc.send("[]")
    assert rpc.receive()["error"]["code"] == -32600
    rpc.send(note)  # a notification is not answered; the next request is
    assert rpc.call("service_list")["result"] == {"a": "Running", "b": "Running"}


def test_every_method_of_upstream_exists(zinit: ZinitDaemon, rpc: Rpc) -> None:
    described = json.loads(rpc.call("rpc.discover")["result"])
    names = {method["name"] for method in described["methods"]}
    wanted = (
        "service_list service_status service_start service_stop service_forget service_monitor "
        "service_kill service_create service_delete service_get service_stats system_shutdown "
        "system_reboot system_start_http_server system_stop_http_server stream_currentLogs "
        "stream_subscribeLogs"
    )
    assert names >= set(wanted.split())
    stats = rpc.call("service_stats", "a")["result"]
    assert stats["pid"] == zinit.service_pid("a")
    # In the moment of an exec a process has hardly any memory.
    wait_until(
        lambda: rpc.call("service_stats", "a")["result"]["memory_usage"] > 0, "it uses memory"
    )
    assert set(stats) == {"name", "pid", "memory_usage", "cpu_usage", "children"}
    assert rpc.call("service_create", "made", {"exec": "sleep 5", "after": ["a"]})["result"]
    assert rpc.call("service_get", "made")["result"] == {"exec": "sleep 5", "after": ["a"]}
    assert rpc.call("service_monitor", "made")["result"] is None
    assert rpc.call("service_delete", "made")["result"]
    assert rpc.call("service_get", "made")["error"]["code"] == -32000
    for bad in ("../x", "a/b", "a.b", ""):
        error = rpc.call("service_get", bad)["error"]
        assert (error["code"], error["data"]["code_name"]) == (-32602, "InvalidServiceName")
    for params in ([], [1], [None]):
        assert rpc.call("service_status", *params)["error"]["code"] == -32602
    assert rpc.call("service_status", "a", "b", 5)["result"]["name"] == "a"
    rpc.send("{nonsense}")
    assert rpc.receive()["error"]["code"] == -32700


def test_subscriptions_to_the_log(zinit: ZinitDaemon, rpc: Rpc) -> None:
    number = rpc.call("stream_subscribeLogs", "late")["result"]
    zinit.write("late", "exec: sh -c 'echo one; echo two; exec sleep 1000'")
    zinit.client.monitor("late")
    lines = [rpc.receive()["params"] for _ in range(3)]
    assert [entry["subscription"] for entry in lines] == [number] * 3
    assert [entry["result"] for entry in lines[1:]] == ["[+] late: one", "[+] late: two"]
    assert rpc.call("stream_unsubscribeLogs", number)["result"] is True


def test_a_shutdown_is_answered(tmp_path: Path) -> None:
    """Upstream replies after the shutdown, so it usually never does."""
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        with Rpc(zinit.socket) as rpc:
            assert rpc.call("system_shutdown")["result"] is None
        assert zinit.process is not None
        assert zinit.process.wait(30) == 0


def test_exit_statuses_and_output_equal_upstreams(zinit: ZinitDaemon) -> None:
    assert re.fullmatch(r"zinit v\d+\.\d+\.\d+\n", zinit.cli("-V").stdout)
    for words in (["wat"], ["status"], ["kill"], ["list", "x"], ["log", "--wat"], ["-s"]):
        done = zinit.cli(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ")
        assert "USAGE" in done.stderr
    assert zinit.cli("status", "nope").stderr == 'service name "nope" unknown\n'
    assert zinit.cli("--help").returncode == 0
    stats = zinit.cli("stats", "a").stdout
    assert stats.startswith("---\nname: a\npid: ")
    assert "children: []\n" in stats
    status = zinit.cli("status", "b").stdout.splitlines()
    assert [line.split(":")[0] for line in status[1:]] == ["name", "pid", "state", "target",
                                                          "after", "  a"]  # fmt: skip


def test_analyze_prints_the_critical_chain_and_draws_the_boot(zinit: ZinitDaemon) -> None:
    text = zinit.cli("analyze").stdout
    assert "2 of 2 services were ready" in text
    chain = [line for line in text.splitlines() if "@" in line and "critical" not in line]
    assert [line.lstrip("`- ").split()[0] for line in chain] == ["b", "a"]
    svg = zinit.cli("analyze", "plot").stdout
    assert svg.startswith("<svg ")
    assert svg.rstrip().endswith("</svg>")
    assert svg.count("<rect") >= 5
    zinit.write("late", "exec: sleep 1000\nafter: [b]")
    zinit.client.monitor("late")
    zinit.wait_for_state("late", "Running")
    assert "late" not in zinit.cli("analyze", "plot").stdout
    assert zinit.cli("reexec").returncode == 0
    wait_until(lambda: "re-executed" in zinit.said(), "it re-executes")
    text = zinit.cli("analyze").stdout
    assert "2 of 2 services were ready" in text
    assert text.endswith("\nmonitored after the boot: 1\n")
    imports = zinit.cli("analyze", "imports").stdout
    assert "zinit.life.manager" in imports
    assert int(imports.split()[0]) < 75  # modules; each of them takes time in a node's boot
    names = {line.split()[-1] for line in imports.splitlines()[1:]}
    assert not names & {"asyncio", "subprocess", "argparse", "yaml", "re", "enum", "typing"}


CHECKED = {
    "good": "exec: sleep 1\n",
    "loop1": "exec: sleep 1\nafter:\n- good\n- loop2\n",
    "loop2": "exec: sleep 1\nrequires: [loop1]\n",
    "names": "exec: sleep 1\nafter:\n- good\n- nobody\nwants: [somebody]\n",
    "quote": "exec: sleep 'x\n",
    "quote2": 'exec: "sleep \\"x"\n',
    "value": "exec: sleep 1\n\nlimits: {nofile: lots}\n",
    "typo": "exec: sleep 1\nonesht: true\n",
    "gone": "exec: there-is-no-such-program\n",
    "once": "exec: sleep 1\noneshot: true\nready: notify\ntest: sleep 1\n",
    "place": "exec: sleep 1\ndir: /there/is/none\nuser: nobody-at-all\n",
    "reload": "exec: sleep 1\nreload: sleep 'x\n",
    "two": "exec: sleep 1\n---\nexec: sleep 2\n",
}
FOUND = """\
gone.yaml:1: warning: exec: there is no program 'there-is-no-such-program' on this machine
loop1.yaml:4: error: these wait for each other and never start: loop1 -> loop2 -> loop1
names.yaml:4: error: after names 'nobody', which does not exist
names.yaml:5: warning: wants names 'somebody', which does not exist
once.yaml:3: warning: a oneshot is ready when it has ended: ready is ignored
once.yaml:4: warning: a oneshot is ready when it has ended: test is ignored
place.yaml:2: warning: there is no folder '/there/is/none' on this machine
place.yaml:3: warning: there is no user 'nobody-at-all' on this machine
quote.yaml:1: error: exec: unclosed single quote
quote2.yaml:1: error: exec: unclosed double quote
reload.yaml:2: error: reload: unclosed single quote
two.yaml:2: error: expected a single document in the stream, but found another document
typo.yaml:2: warning: unknown key 'onesht' is ignored
value.yaml:3: error: expected a size such as 512M
"""


def test_check_names_file_and_line_and_runs_nothing(tmp_path: Path) -> None:
    zinit = ZinitDaemon(tmp_path)
    for name, text in CHECKED.items():
        zinit.write(name, text)
    done = zinit.cli("check", str(zinit.etc))
    lines = done.stdout.replace(f"{zinit.etc}/", "").splitlines()
    assert lines == FOUND.splitlines()
    assert done.returncode == 1
    for name in CHECKED:
        if name not in ("good", "typo"):
            (zinit.etc / f"{name}.yaml").unlink()
    assert zinit.cli("check", str(zinit.etc)).returncode == 0
    assert zinit.cli("check", str(tmp_path / "nowhere")).returncode == 1


# The services of an upstream node (name: after, oneshot, test), with programs replaced.
ZOS = {
    "redis": ("", False, False),
    "local-modprobe": ("", True, False),
    "haveged": ("", True, False),
    "cgroup": ("", True, False),
    "udevd": ("", False, False),
    "udev-trigger": ("udevd", True, False),
    "internet": ("udev-trigger", True, False),
    "node-ready": ("local-modprobe udev-trigger redis haveged cgroup", True, False),
    "storaged": ("node-ready", False, True),
    "boot": ("node-ready storaged internet", True, False),
    "identityd": ("boot", False, True),
    "networkd": ("boot", False, True),
    "flistd": ("boot identityd", False, True),
    "noded": ("boot networkd", False, True),
    "containerd": ("node-ready", False, True),
    "contd": ("containerd boot", False, True),
    "vmd": ("boot networkd flistd", False, True),
    "provisiond": ("boot flistd contd networkd", False, True),
    "gateway": ("boot networkd noded vmd flistd", False, True),
    "powerd": ("boot noded", False, False),
    "stream:1": ("", False, False),
}


def test_the_services_of_an_upstream_node_start_in_order(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        order = tmp_path / "order"
        for name, (after, is_oneshot, is_tested) in ZOS.items():
            end = "" if is_oneshot else "exec sleep 1000"
            text = f"exec: |\n  sh -c '\n    echo {name} >> {order}\n    {end}\n  '\n"
            text += f"oneshot: {str(is_oneshot).lower()}\n"
            text += f"after: [{', '.join(after.split())}]\n" if after else ""
            text += f'test: sh -c "grep -qx {name} {order}"\n' if is_tested else ""
            zinit.write(name, text)
        zinit.start()
        wait_until(lambda: order.exists() and len(order.read_text().split()) == len(ZOS), "all")
        marks = (line[4:].partition(": ------------ [start]") for line in zinit.lines())
        started = [name for name, mark, _ in marks if mark]
        for name, (after, *_) in ZOS.items():
            for dep in after.split():
                assert started.index(dep) < started.index(name)
        wait_until(
            lambda: set(zinit.client.list().values()) == {"Running", "Success"}, "all are up"
        )
        assert '"stream:1": Running' in zinit.cli("list").stdout
        assert zinit.end() == 0
