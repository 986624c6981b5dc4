"""Capacity and report run confined, and report what the machine has to a registry."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyroute2 import IPRoute

from common.ipc.client import call, stream
from common.ipc.server import Method, Peer
from common.mounts import mount
from common.nodes.envelope import seal
from common.nodes.nodeid import node_id
from core.capacity import daemon as capacity
from core.places import CAPACITY, REPORT, socket_of
from core.report import daemon as report
from core.sandbox.status import parse_status
from tests.helpers.child import leave_network
from tests.helpers.core.daemons import daemon, gone, run_on_stage, served, set_command_line
from tests.helpers.core.registry import FakeRegistry
from tests.helpers.waiting import wait_until

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
NODE = node_id(PUBLIC)


def sign(peer: Peer, kind: str, payload: dict[str, Any]) -> str:
    assert (peer.uid, kind) == (REPORT.number, "report")
    return seal(KEY.sign, PUBLIC, kind, payload).decode()


IDENTITY = {
    "describe": Method(lambda _: {"node": NODE, "kind": "disk"}),
    "sign": Method(sign),
    "quote": Method(lambda _, nonce: None),
}
DOOR = {
    "status": Method(lambda _: {"release": "1.0", "boot_version": "1.0", "run_mode": "dev"}),
}


def test_a_node_reports_and_says_when_it_ends() -> None:
    run_on_stage(report_and_end)


def report_and_end() -> None:
    with FakeRegistry() as registry, served("identity", IDENTITY), served("door", DOOR):
        set_command_line(f"quiet registry={registry.url} farmer_id=7 enrol=token\n")
        with (
            daemon(capacity.PROFILE, capacity.main) as measuring,
            daemon(report.PROFILE, report.main) as reporting,
        ):
            (first,) = registry.wait(1)
            check_registration(first)
            check_confinement(measuring, CAPACITY.number)
            check_confinement(reporting, REPORT.number)
            wait_until(is_registered, "the daemon says that it registered", 30)
            os.kill(reporting, signal.SIGTERM)
            wait_until(lambda: gone(reporting), "the daemon ends", 30)
        last = registry.wait(2)[-1]
        assert (last["kind"], last["sequence"]) == ("shutdown", 2)


def check_registration(report: dict[str, Any]) -> None:
    assert (report["node"], report["farm"], report["kind"]) == (NODE, 7, "register")
    assert report["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    body = report["body"]
    assert body["capacity"]["cru"] == psutil.cpu_count()
    assert body["capacity"]["mru"] == psutil.virtual_memory().total
    assert (body["identity"], body["enrol"], body["quote"]) == ("disk", "token", None)
    assert body["release"]["version"] == "1.0"
    shown = {address for card in body["interfaces"] for address in card["addresses"]}
    assert "127.0.0.1" not in shown


def check_confinement(process: int, user: int) -> None:
    fields = parse_status(Path(f"/proc/{process}/status").read_text())
    assert set(fields["Uid"].split()) == {str(user)}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert int(fields[name], 16) == 0, name


def is_registered() -> bool:
    answer = call(socket_of("report"), "status")
    assert json.dumps(answer)
    return bool(answer["registered"]) and answer["problems"] == []


def test_a_node_without_a_registry_says_so() -> None:
    run_on_stage(say_so)


def say_so() -> None:
    set_command_line("quiet farmer_id=7\n")
    with daemon(report.PROFILE, report.main):
        answer = call(socket_of("report"), "status")
        assert answer["registered"] is False
        assert "no registry" in answer["why"]
        assert answer["problems"] == []


def test_a_new_address_is_news() -> None:
    run_on_stage(add_address)


def add_address() -> None:
    leave_network()
    mount("sysfs", Path("/sys"), "sysfs")  # shows the cards of the network that it is mounted in
    with daemon(capacity.PROFILE, capacity.main), IPRoute() as route:
        news = stream(socket_of("capacity"), "changes", 60)
        seen = {next(news)["digest"]}
        route.link("add", ifname="bridge9", kind="bridge")
        (index,) = route.link_lookup(ifname="bridge9")
        route.addr("add", index=index, address="10.9.9.9", prefixlen=24)
        route.link("set", index=index, state="up")
        seen.add(next(news)["digest"])
        assert len(seen) == 2
        facts = call(socket_of("capacity"), "facts")
        assert facts["digest"] in seen
        (bridge,) = facts["interfaces"]
        assert (bridge["name"], bridge["addresses"]) == ("bridge9", ["10.9.9.9"])
