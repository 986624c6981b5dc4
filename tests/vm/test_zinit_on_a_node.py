"""zinit as PID 1 on a kernel: order, restarts, commands, ordered shutdown, power-off."""

import contextlib
import re
from pathlib import Path

import pytest

from image.model import Release
from qemu.errors import MachineError
from qemu.machine import QemuMachine
from tests.helpers.vm.node import boot_node
from tests.helpers.waiting import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
SHUTDOWN_S = 120
SERVICE_S = 240  # a Python that starts on an emulated processor, on a busy machine

# Records its start in a file and its stop on the console; stopping takes half a second.
DAEMON = """\
import signal, sys, time
sys.path.insert(0, "/usr/lib/zero-os")
from common.notify import notify_ready
name = sys.argv[1]
def stop(number, frame):
    time.sleep(0.5)
    print(f"{name} stopped", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
with open("/tmp/order", "a") as order:
    order.write(f"{name}\\n")
notify_ready()
while True:
    signal.pause()
"""
ONESHOT = """\
import sys, time
time.sleep(1)
with open("/tmp/order", "a") as order:
    order.write(f"{sys.argv[1]}\\n")
"""


def service(script: str, name: str, *after: str, is_oneshot: bool = False) -> str:
    """Return a service file that runs /test/<script> with the service's name as argument."""
    lines = [f"exec: /usr/bin/python3 -IS /test/{script} {name}", "log: console"]
    lines += ["oneshot: true"] if is_oneshot else ["ready: notify"]
    lines += ["after:", *(f"  - {other}" for other in after)] if after else []
    return "\n".join(lines) + "\n"


FILES = {
    "test/daemon.py": DAEMON,
    "test/oneshot.py": ONESHOT,
    # Named in the opposite order of their starts.
    "etc/zinit/a-last.yaml": service("daemon.py", "a-last", "b-middle"),
    "etc/zinit/b-middle.yaml": service("daemon.py", "b-middle", "c-first"),
    "etc/zinit/c-first.yaml": service("oneshot.py", "c-first", is_oneshot=True),
}


def status(machine: QemuMachine, name: str) -> dict[str, str]:
    """Return the output of `zinit status`, parsed."""
    text = machine.guest.succeed(["zinit", "status", name])
    return dict(re.findall(r"^(\w+): (.*)$", text, re.MULTILINE))


def wait_for_state(machine: QemuMachine, name: str, state: str) -> dict[str, str]:
    """Wait until `name` is in `state`."""
    last: dict[str, str] = {}

    def seen() -> dict[str, str]:
        last.clear()
        last.update(status(machine, name))
        return last if last["state"] == state else {}

    return wait_until(seen, f"{name} is {state}", SERVICE_S)


def test_pid_1_orders_restarts_and_powers_off(release: Release, artefacts: Path) -> None:
    words = (
        "runmode=dev hub=http://10.0.2.2:9"  # nothing listens there; the hub does not matter here
    )
    with boot_node(release, artefacts, append=words, files=FILES, has_agent=True) as machine:
        guest = machine.guest
        guest.wait_until_ready(240)
        assert guest.python("print(open('/proc/1/cmdline').read().split(chr(0))[0])").startswith(
            "/usr/bin/python3"
        )
        before = wait_for_state(machine, "a-last", "Running")
        order = guest.read_file("/tmp/order").decode().split()
        assert order == ["c-first", "b-middle", "a-last"]
        assert "c-first: Success" in guest.succeed(["zinit", "list"])

        guest.succeed(["zinit", "kill", "a-last", "SIGKILL"])
        wait_until(
            lambda: status(machine, "a-last")["pid"] not in ("0", before["pid"]),
            "a-last is restarted",
            SERVICE_S,
        )
        wait_for_state(machine, "a-last", "Running")

        guest.succeed(["zinit", "stop", "a-last"])
        wait_for_state(machine, "a-last", "Success")
        assert status(machine, "a-last")["target"] == "Down"
        guest.succeed(["zinit", "start", "a-last"])
        wait_for_state(machine, "a-last", "Running")
        assert "[+] a-last: a-last stopped" in guest.succeed(["zinit", "log", "-s", "a-last"])
        assert "unknown" in guest.execute(["zinit", "status", "nobody"]).stderr

        zombies = "import os\nprint([p for p in os.listdir('/proc') if p.isdigit() and"
        zombies += " open(f'/proc/{p}/stat').read().rsplit(')')[1].split()[0] == 'Z'])"
        # Every process is a zombie for a moment, and may vanish while it is examined.
        wait_until(lambda: guest.python(zombies).strip() == "[]", "no zombie is left", SERVICE_S)

        position = machine.console.position
        with contextlib.suppress(MachineError):  # the agent is stopped too
            guest.execute(["zinit", "shutdown"])
        machine.wait_for_shutdown(SHUTDOWN_S)
        said = [line.text for line in machine.console_lines(position)]
        stops = [text for text in said if text.endswith(" stopped")]
        assert [text.split()[1].rstrip(":") for text in stops] == ["a-last", "b-middle"]
        assert "guest-shutdown" in (machine.why_ended() or "")
