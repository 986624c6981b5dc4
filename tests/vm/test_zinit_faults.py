"""zinit on its own kernel: jumps of the clock, limits of control groups, re-execution."""

import itertools
import re
from pathlib import Path

import pytest

from image.model import Release
from qemu.machine import QemuMachine
from tests.helpers.vm.node import boot_node
from tests.helpers.waiting import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
SERVICE_S = 240  # a Python that starts on an emulated processor, on a busy machine
FLAP = """\
exec: /usr/bin/python3 -IS -c "import time; print(time.monotonic(), flush=True); time.sleep(0.5)"
"""
LEAVER = """\
exec: /usr/bin/python3 -IS /test/leaver.py
cgroup: {memory: 100M, cpu: 50%, pids: 20, kill: cgroup}
"""
# Leaves a child behind, in its own session.
LEAVER_PROGRAM = """\
import os, time
if os.fork() == 0:
    os.setsid()
    with open("/tmp/left", "w") as note:
        note.write(str(os.getpid()))
time.sleep(1000)
"""
FILES = {
    "etc/zinit/flap.yaml": FLAP,
    "etc/zinit/leaver.yaml": LEAVER,
    "test/leaver.py": LEAVER_PROGRAM,
}
JUMP = "import time; time.clock_settime(time.CLOCK_REALTIME, time.time() + {days} * 86400)"


def test_clock_jumps_cgroups_and_reexec(release: Release, artefacts: Path) -> None:
    words = (
        "runmode=dev hub=http://10.0.2.2:9"  # nothing listens there; the hub does not matter here
    )
    with boot_node(release, artefacts, append=words, files=FILES, has_agent=True) as machine:
        guest = machine.guest
        guest.wait_until_ready(240)

        # The boot, and the cost of PID 1's modules.
        chain = guest.succeed(["zinit", "analyze"])
        assert "services were ready" in chain
        imports = guest.succeed(["zinit", "analyze", "imports"])
        assert int(imports.split()[0]) < 75
        (artefacts / "zinit-analyze.txt").write_text(chain + imports)

        # Delays do not depend on the wall clock: two seconds between an exit and the next start.
        for days in (30, -60, 30):
            guest.python(JUMP.format(days=days))
        wait_until(lambda: len(starts(machine)) > 4, "it goes on", SERVICE_S)
        at = starts(machine)
        pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
        assert min(pauses) > 2.4, pauses  # none takes days: otherwise it would not go on

        # The kernel enforces limits; a detached process is killed with its group.
        group = "/sys/fs/cgroup/zinit/leaver"
        assert guest.read_file(f"{group}/memory.max").split() == [str(100 << 20).encode()]
        assert guest.read_file(f"{group}/cpu.max").split() == [b"50000", b"100000"]
        assert guest.read_file(f"{group}/pids.max").split() == [b"20"]
        left = wait_until(lambda: guest.read_file("/tmp/left").decode(), "it leaves", SERVICE_S)
        assert guest.python(f"import os; print(os.path.exists('/proc/{left}'))").strip() == "True"

        # PID 1 re-executes itself and keeps its children.
        before = guest.succeed(["zinit", "status", "leaver"])
        guest.succeed(["zinit", "reexec"])
        wait_until(lambda: "re-executed" in console(machine), "it re-executes itself", SERVICE_S)
        assert guest.succeed(["zinit", "status", "leaver"]) == before
        assert console(machine).count("started as PID 1") == 1

        guest.succeed(["zinit", "stop", "leaver"])
        gone = f"import os; print(os.path.exists('/proc/{left}'))"
        wait_until(lambda: guest.python(gone).strip() == "False", "it is gone", SERVICE_S)


def starts(machine: QemuMachine) -> list[float]:
    """Return the starts of the flapping service, on the guest's monotonic clock."""
    text = machine.guest.succeed(["zinit", "log", "-s", "flap"])
    return [float(word) for word in re.findall(r"\[\+\] flap: ([\d.]+)", text)]


def console(machine: QemuMachine) -> str:
    """Return the console's output."""
    return "\n".join(line.text for line in machine.console_lines(0))
