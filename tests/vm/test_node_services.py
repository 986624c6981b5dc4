"""A whole node: the keys of service files, what every console shows, and the power button."""

import re
import shutil
import time
from pathlib import Path

import pytest

from common.debian.fetch import fetch_packages
from flist.hub.app import create_app
from image.model import Release
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.vm.node import BOOT_S, boot_node
from tests.helpers.waiting import wait_until
from zero_os.boot import hub as boot_hub
from zero_os.boot.hub import NAME, PACKAGES, LocalHub, pack_workload, sign_flist_file
from zinit.files.service import KEYS

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
POWER_OFF_S = 10

MANY = """\
# Every key that goes with the others.
exec: sh -c 'echo $MODE $(pwd); exec sleep 10000'
env: {MODE: 0x10}
dir: /tmp
after: [first]
requires: [redis]
wants: [nobody]
test: "true"
probe: {interval: 0.5, timeout: 60}
start_timeout: 200
liveness: {test: "true", interval: 30, timeout: 60, failures: 3}
watchdog: 3600
restart: {policy: always, delay: 0.2, factor: 2, max_delay: 30, limit: 10, window: 300}
signal:
  stop: SIGINT
shutdown_timeout: 5
stop_timeout: 2.5
reload: SIGHUP
log: {file: /tmp/many.log, size: 1M, keep: 2}
user: nobody
group: nogroup
groups: [tty]
limits: {nofile: 4096, core: 0}
capabilities: [NET_BIND_SERVICE]
no_new_privileges: true
cgroup: {memory: 256M, pids: 50, kill: group}
netns: /proc/self/ns/net
"""
FIRST = "exec: 'true'\noneshot: true\nrestart: on-failure\n"
TERMINAL = "exec: sh -c 'echo >&5; exec sleep 10000'\nready: fd:5\ntty: /dev/tty2\n"
BAD = "exec: sleep 10000\n# a comment\noneshot: 'true'\n"
SERVICES = {"many": MANY, "first": FIRST, "terminal": TERMINAL, "bad": BAD}
REFUSAL = "/etc/zinit/bad.yaml: line 3: expected true or false"
SCREEN = """
from pathlib import Path
print(Path("/dev/vcs1").read_bytes().decode("cp437"))
"""


@pytest.fixture
def services(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a hub's folder whose flist has `SERVICES` beside Redis, signed with the same key."""
    overlay = tmp_path / "overlay"
    shutil.copytree(boot_hub.OVERLAY, overlay)
    for name, text in SERVICES.items():
        (overlay / f"etc/zinit/{name}.yaml").write_text(text)
    monkeypatch.setattr(boot_hub, "OVERLAY", overlay)
    flist = tmp_path / "hub" / "flists" / f"{NAME}.fl"
    flist.parent.mkdir(parents=True)
    blocks = tmp_path / "hub" / "blocks"
    shutil.copytree(hub.root / "blocks", blocks)
    pack_workload(fetch_packages(PACKAGES), flist, blocks)
    sign_flist_file(flist, hub.key_file.with_suffix(".key"))
    return tmp_path / "hub"


def test_the_services_have_every_key() -> None:
    keys = {key for text in SERVICES.values() for key in re.findall(r"^(\w+):", text, re.MULTILINE)}
    assert {*keys, "root"} == {row[0].partition(".")[0] for row in KEYS}  # the node sets the root


def test_a_node_with_every_key_two_consoles_and_a_power_button(
    release: Release, services: Path, artefacts: Path
) -> None:
    app, listener = create_app(services), open_listener("127.0.0.1", 0)
    words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}"
    # The screen is the last console, so /dev/console: the serial port is one of the others.
    words += " nomodeset console=tty0"
    with (
        serve_in_thread(app, listener),
        boot_node(release, artefacts, append=words, has_agent=True) as machine,
    ):
        machine.wait_for_console_text("zinit: started as PID 1", timeout_s=BOOT_S)
        machine.wait_for_console_text(REFUSAL, timeout_s=BOOT_S)
        ready = machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
        assert ready.text.endswith("services first, many, redis, terminal")
        guest = machine.guest
        assert "bringup: node ready" in guest.python(SCREEN)

        assert REFUSAL in guest.execute(["zinit", "status", "bad"]).stderr
        states = guest.succeed(["zinit", "list"])
        for line in ("many: Running", "first: Success", "terminal: Running", "redis: Running"):
            assert line in states
        wait_until(lambda: guest.read_file("/tmp/many.log") == b"0x10 /tmp\n", "its output")

        begin, position = time.monotonic(), machine.console.position
        machine.power_button()
        machine.wait_for_shutdown(POWER_OFF_S)
        said = [line.text for line in machine.console_lines(position)]
        assert any("powering off now" in text for text in said), said
        print(f"off after {time.monotonic() - begin:.1f} s")
