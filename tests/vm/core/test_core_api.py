"""A node's API from outside: its services, their logs, a restart, a reboot; and no other port."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.certificates.farmkey import make_farm_key, public_of, show_public
from core.places import API_PORT
from flist.hub.app import create_app
from image.model import Release
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.checkout import TOP
from tests.helpers.vm.node import boot_node
from tests.helpers.waiting import wait_until
from zero_os.boot.hub import LocalHub
from zero_os.boot.node import REDIS_PORT, ask_workload

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(1800)]

FARM = 4711
BOOT_S = 600
MDNS_PORT = 5353
# The ports that something listens on, by protocol, but for those on the loopback only.
LISTENERS = """
import json
from pathlib import Path
LISTEN, LOOPBACK = "0A", ("0100007F", "0" * 24 + "01000000")
found = set()
for name in ("tcp", "tcp6", "udp", "udp6"):
    for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
        fields = line.split()
        address, _, port = fields[1].partition(":")
        is_bound = fields[3] == LISTEN if "tcp" in name else fields[2].endswith(":0000")
        if is_bound and address not in LOOPBACK:
            found.add((name[:3], int(port, 16)))
print(json.dumps(sorted(found)))
"""
DHCP_CLIENT_PORTS = {68, 546}


class Farmer:
    """Runs `zos node` with settings of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = make_farm_key(folder / "farm.pem")
        self.node: tuple[str, ...] = ()

    def run(self, *words: str) -> str:
        environment = os.environ | {"XDG_CONFIG_HOME": str(self.folder)}
        command = [sys.executable, "-m", "zero_os", "node", *self.node, *words]
        done = subprocess.run(
            command, cwd=TOP, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def state_of(self, service: str) -> dict[str, Any]:
        rows: list[dict[str, Any]] = self.ask("services")
        return next(row for row in rows if row["name"] == service)


def test_a_node_is_run_from_outside(
    release: Release, core_hub: LocalHub, artefacts: Path, tmp_path: Path
) -> None:
    farmer = Farmer(tmp_path)
    name = ("--role", "farmer", "--name", "anna")
    farmer.run("certificate", "--farm-key", str(tmp_path / "farm.pem"), "--farm", str(FARM), *name)
    listener = open_listener("127.0.0.1", 0)
    hub = f"http://10.0.2.2:{listener.getsockname()[1]}"
    words = f"runmode=dev farmer_id={FARM} hub={hub} farm.key={show_public(public_of(farmer.key))}"
    with (
        serve_in_thread(create_app(core_hub.root), listener),
        boot_node(
            release, artefacts, append=words, forwards=(API_PORT, REDIS_PORT), has_agent=True
        ) as machine,
    ):
        machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
        machine.wait_for_console_text("bringup: core ready", timeout_s=BOOT_S)
        redis = machine.forwarded_port(REDIS_PORT)
        wait_until(lambda: ask_workload(redis) == "PONG", "Redis answers", BOOT_S)
        port = machine.forwarded_port(API_PORT)
        farmer.node = ("-n", f"127.0.0.1:{port}")
        machine.wait_for_console_text("api: callers need", timeout_s=BOOT_S)
        status = farmer.ask("--trust-first", "status")
        assert (status["farm"], status["api"]["problem"]) == (FARM, "")
        assert list(json.loads((tmp_path / "zero-os/nodes.json").read_text()).values()) == [
            status["identity"]["node"]
        ]
        before = farmer.state_of("redis")
        assert before["state"] == "Running"
        assert "Ready to accept connections" in farmer.run("logs", "redis")
        farmer.run("restart", "redis")
        wait_until(lambda: ask_workload(redis) == "PONG", "Redis answers again", BOOT_S)
        assert farmer.state_of("redis")["pid"] not in (0, before["pid"])
        assert "restart done 200" in farmer.run("audit")
        assert farmer.ask("capacity")["capacity"]["cru"] >= 1
        farmer.run("support", str(tmp_path / "support.tar.gz"))
        check_listeners(json.loads(machine.guest.python(LISTENERS)))
        farmer.run("reboot")
        machine.wait_for_console_text("reboot: Restarting system", timeout_s=BOOT_S)


def check_listeners(found: list[tuple[str, int]]) -> None:
    """Fail if something listens but the API, mDNS, DHCP's client, and the workload."""
    ports = {(protocol, port) for protocol, port in found if port not in DHCP_CLIENT_PORTS}
    assert ports - {("tcp", REDIS_PORT)} == {("tcp", API_PORT), ("udp", MDNS_PORT)}
