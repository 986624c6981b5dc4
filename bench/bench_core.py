"""What does Core-0 cost a node: time until it is ready, memory, and wake-ups?

The same release boots with and without zos-core, in turns, from a hub of this process. Only the
ratios count: on a shared machine, absolute times mean little.
"""

import json
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.helpers import Aim, need, read_options, render, render_aims, scratch_folder, talk
from flist.hub.app import create_app
from image.model import Release
from image.release.build import build_release
from qemu.machine import QemuMachine
from qemu.model import KernelBoot, MachineConfig
from serving.listen import open_listener
from serving.run import serve_in_thread
from zero_os.boot.core import add_core
from zero_os.boot.hub import LocalHub, prepare_hub

WITH, WITHOUT = "with core", "without core"
AIMS = (Aim("with / without core", WITH, WITHOUT),)
READY = {WITH: "bringup: core ready", WITHOUT: "bringup: node ready"}
BOOT_S = 600
MEMORY_MIB = 2048
LEVEL = 1
# Prints MiB in use, all context switches of a minute, and those of each daemon of Core-0.
MEASURE = """
import json, os, sys, time
sys.path.append("/usr/lib/zero-os")
from zinit.client.line import Client

def read(path):
    with open(path) as file:
        return file.read()

def used_mib():
    rows = dict(line.split(":") for line in read("/proc/meminfo").splitlines())
    kib = {name: int(rows[name].split()[0]) for name in ("MemTotal", "MemAvailable")}
    return (kib["MemTotal"] - kib["MemAvailable"]) / 1024

def all_switches():
    return int(next(l for l in read("/proc/stat").splitlines() if l.startswith("ctxt")).split()[1])

def switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        for line in read(f"/proc/{pid}/task/{task}/status").splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total

client = Client()
pids = {name: client.status(name)["pid"] for name in client.list() if name.startswith("core-")}
pids = {name: pid for name, pid in pids.items() if pid}
time.sleep(SETTLE_S)
used = used_mib()
start = time.monotonic()
total, each = all_switches(), {name: switches(pid) for name, pid in pids.items()}
time.sleep(IDLE_S)
minutes = (time.monotonic() - start) / 60
print(json.dumps({
    "used_mib": used,
    "switches": (all_switches() - total) / minutes,
    "each": {name: (switches(pid) - each[name]) / minutes for name, pid in pids.items()},
}))
"""


class Boot(NamedTuple):
    """What was measured of one boot."""

    ready_s: float
    used_mib: float
    switches: float  # a minute
    each: Mapping[str, float]  # of the daemons, a minute


def main() -> int:
    """Measure and print."""
    options = read_options("core", __doc__, "one round, and 20 s of idle time")
    need("qemu-system-x86_64")
    rounds, idle_s = (1, 20) if options.quick else (3, 60)
    with scratch_folder("core") as folder:
        hubs = prepare_hubs(folder)
        key = hubs[WITHOUT].key_file
        release = build_release(
            folder / "release", flist_keys=key, progress=talk, level=LEVEL, is_debug=True
        )
        boots = boot_all(release, hubs, folder / "machine", rounds, idle_s)
    results = summarise(boots)
    print(json.dumps(results) if options.json else describe(results))
    return 0


def prepare_hubs(folder: Path) -> dict[str, LocalHub]:
    """Return a hub that has zos-core beside the workload, and one that has the workload alone."""
    return {
        WITH: add_core(prepare_hub(talk, folder / "with"), talk),
        WITHOUT: prepare_hub(talk, folder / "without"),
    }


def boot_all(
    release: Release, hubs: Mapping[str, LocalHub], artefacts: Path, rounds: int, idle_s: int
) -> dict[str, list[Boot]]:
    """Boot both nodes once per round, in turns."""
    boots: dict[str, list[Boot]] = {name: [] for name in hubs}
    for number in range(rounds):
        for name in list(hubs)[:: -1 if number % 2 else 1]:
            boots[name].append(boot_once(release, hubs[name], name, artefacts, idle_s))
            talk(f"  round {number + 1}: {name} {boots[name][-1].ready_s:.1f} s")
    return boots


def boot_once(release: Release, hub: LocalHub, name: str, artefacts: Path, idle_s: int) -> Boot:
    """Boot a node until what it should run is ready, and look at it for `idle_s`."""
    listener = open_listener("127.0.0.1", 0)
    words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}"
    files = (release.folder / "vmlinuz", release.folder / "initramfs.zst")
    boot = KernelBoot(files[0], files[1:], f"console=ttyS0 panic=-1 {words}")
    config = MachineConfig(boot=boot, memory_mib=MEMORY_MIB, has_agent=True)
    with serve_in_thread(create_app(hub.root), listener):
        start = time.monotonic()
        with QemuMachine(config, artefacts=artefacts) as machine:
            for text in dict.fromkeys((READY[WITHOUT], READY[name])):
                machine.wait_for_console_text(text, timeout_s=BOOT_S)
            ready_s = time.monotonic() - start
            source = MEASURE.replace("IDLE_S", str(idle_s)).replace("SETTLE_S", str(idle_s // 2))
            machine.guest.wait_until_ready(BOOT_S)
            found = json.loads(machine.guest.python(source, timeout_s=BOOT_S))
    return Boot(ready_s, found["used_mib"], found["switches"], found["each"])


def summarise(boots: Mapping[str, list[Boot]]) -> dict[str, dict[str, float]]:
    """Return the medians."""
    results = {
        "boot to ready, s": {n: median([b.ready_s for b in rows]) for n, rows in boots.items()},
        "memory in use, MiB": {n: median([b.used_mib for b in rows]) for n, rows in boots.items()},
        "context switches of the node, a minute": {
            n: median([b.switches for b in rows]) for n, rows in boots.items()
        },
    }
    daemons = sorted(boots[WITH][0].each)
    each = {one: median([b.each[one] for b in boots[WITH]]) for one in daemons}
    return results | {"context switches of the daemons, a minute": each}


def median(values: list[float]) -> float:
    """Return the median of the rounds."""
    return statistics.median(values)


def describe(results: Mapping[str, dict[str, float]]) -> str:
    """Return the tables and ratios."""
    parts = []
    for title, rows in results.items():
        what, unit = title.rsplit(", ", 1)
        parts.append(render(what, rows, unit))
        if WITHOUT in rows:
            parts.append(render_aims(AIMS, rows))
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
