"""A program for a node: what it and each daemon of Core-0 take while nothing is to do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from qemu.machine import QemuMachine

DEADLINE_S = 600.0
PROGRAM = """
import json, os, sys, time
sys.path.append("/usr/lib/zero-os")
from zinit.client.line import Client

def read(path):
    with open(path) as file:
        return file.read()

def rows(path):
    words = (line.replace(":", " ").split()[:2] for line in read(path).splitlines())
    return dict(pair for pair in words if len(pair) == 2)

def used_mib():
    found = rows("/proc/meminfo")
    return (int(found["MemTotal"]) - int(found["MemAvailable"])) / 1024

def taken(pid):
    group = read(f"/proc/{pid}/cgroup").strip().rpartition("::")[2]
    return {
        "cpu_ms": int(rows(f"/sys/fs/cgroup{group}/cpu.stat")["usage_usec"]) / 1000,
        "wakeups": sum(
            int(rows(f"/proc/{pid}/task/{task}/status")["voluntary_ctxt_switches"])
            for task in os.listdir(f"/proc/{pid}/task")
        ),
    }

def whole():
    found = rows("/proc/stat")
    return {"switches": int(found["ctxt"]), "threads": int(found["processes"])}

def rates(before, after, minutes):
    return {name: (value - before[name]) / minutes for name, value in after.items()}

client = Client()
pids = {name: client.status(name)["pid"] for name in client.list() if name.startswith("core-")}
pids = {name: pid for name, pid in pids.items() if pid}
time.sleep(SETTLE_S)
start, node = time.monotonic(), whole()
each = {name: taken(pid) for name, pid in pids.items()}
time.sleep(IDLE_S)
minutes = (time.monotonic() - start) / 60
found = rates(node, whole(), minutes) | {"used_mib": used_mib()}
each = {name: rates(each[name], taken(pid), minutes) for name, pid in pids.items()}
for name, pid in pids.items():
    each[name]["pss_mib"] = int(rows(f"/proc/{pid}/smaps_rollup")["Pss"]) / 1024
print(json.dumps(found | {"each": each}))
"""


@dataclass(frozen=True)
class Idle:
    """A node without work. Rates are those of a minute.

    `threads` have been started, processes included. Of `each` daemon: processor time in its cgroup,
    times that a thread slept which lived on, and its share of memory.
    """

    used_mib: float
    switches: float
    threads: float
    each: Mapping[str, Mapping[str, float]]


def watch(machine: QemuMachine, settle_s: int, idle_s: int) -> Idle:
    """Wait, then look at a node for a while."""
    source = PROGRAM.replace("IDLE_S", str(idle_s)).replace("SETTLE_S", str(settle_s))
    machine.guest.wait_until_ready(DEADLINE_S)
    return Idle(**json.loads(machine.guest.python(source, timeout_s=DEADLINE_S)))
