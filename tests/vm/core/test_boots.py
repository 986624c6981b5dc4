"""A node with both flists: Core-0's daemons run beside the workload, confined in their root."""

import errno
import json
import re
from pathlib import Path

import pytest

from core.cli import DAEMONS
from core.places import USERS
from flist.hub.app import create_app
from image.model import Release
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.checkout import TOP
from tests.helpers.vm.node import CORE_S, boot_node
from tests.helpers.waiting import wait_until
from zero_os.boot.hub import LocalHub
from zero_os.boot.node import REDIS_PORT, ask_workload

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

SERVICES = sorted(f"core-{name}" for name in DAEMONS)
ONESHOTS = {
    path.stem
    for path in (TOP / "core/etc/zinit").glob("*.yaml")
    if "oneshot: true" in path.read_text()
}
# What holds each daemon; `written` is why nothing can be written into its root.
CONFINED = """
import json, os, sys
sys.path.append("/usr/lib/zero-os")
from zinit.client.line import Client
client, found = Client(), {}
for name in client.list():
    pid = client.status(name)["pid"]
    if name.startswith("core-") and pid:
        lines = open(f"/proc/{pid}/status").read().splitlines()
        words = dict(line.split(":", 1) for line in lines)
        row = {key: words[key].split()[0] for key in ("Uid", "Gid", "NoNewPrivs", "Seccomp")}
        row["root"], row["written"] = os.readlink(f"/proc/{pid}/root"), 0
        try:
            os.mkdir(row["root"] + "/etc/mine")
        except OSError as error:
            row["written"] = error.errno
        found[name] = row
print(json.dumps(found))
"""


def test_a_node_runs_core_and_workload(
    release: Release, core_hub: LocalHub, artefacts: Path
) -> None:
    listener = open_listener("127.0.0.1", 0)
    words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}"
    with (
        serve_in_thread(create_app(core_hub.root), listener),
        boot_node(
            release, artefacts, append=words, forwards=(REDIS_PORT,), has_agent=True
        ) as machine,
    ):
        machine.wait_for_console_text("bringup: node ready", timeout_s=CORE_S)
        ready = machine.wait_for_console_text("bringup: core ready", timeout_s=CORE_S)
        assert ready.text.endswith(f"services {', '.join(SERVICES)}")
        port = machine.forwarded_port(REDIS_PORT)
        wait_until(lambda: ask_workload(port) == "PONG", "Redis answers", CORE_S)
        states = machine.guest.succeed(["zinit", "list"])
        for name in (*SERVICES, "redis"):
            assert f"{name}: {'Success' if name in ONESHOTS else 'Running'}" in states
        found = json.loads(machine.guest.python(CONFINED))
        screen = machine.screen.wait_for_text("10.0.2.15/24 on", CORE_S)
        assert "Zero-OS   farm 1   run mode dev" in screen
    assert sorted(found) == [name for name in SERVICES if name not in ONESHOTS]
    users = {str(user.number) for user in USERS}
    assert len({row["Uid"] for row in found.values()}) == len(found)
    for name, row in found.items():
        assert re.fullmatch("/run/zero-os/flists/[0-9a-f]{16}/root", row["root"]), name
        assert row["Uid"] == row["Gid"] and row["Uid"] in users, name
        assert (row["NoNewPrivs"], row["Seccomp"]) == ("1", "2"), name
        assert row["written"] == errno.EROFS, name
