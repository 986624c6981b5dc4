"""What does Core-0 cost a node: time until it is ready, memory, wake-ups, and its updates?

The same release boots with and without zos-core, in turns, from a hub of this process. Then one
node follows a channel in which one file changes, beside the whole flist fetched anew. Only ratios
count: on a shared machine, absolute times mean little.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core_node.changes import FLISTS, PEER, Cost, measure_updates
from bench.core_node.probe import Idle, watch
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
CHANGES = tuple(Aim(f"{name} / all of its flist", name, PEER.format(name)) for name in FLISTS)
READY = {WITH: "bringup: core ready", WITHOUT: "bringup: node ready"}
BOOT_S = 600
MEMORY_MIB = 2048
LEVEL = 1
Results = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Boot:
    """What was measured of one boot."""

    ready_s: float
    idle: Idle


def main() -> int:
    """Measure and print."""
    options = read_options("core", __doc__, "one round, and 20 s of idle time")
    need("qemu-system-x86_64")
    rounds, updates, idle_s = (1, 1, 20) if options.quick else (3, 2, 40)
    with scratch_folder("core") as folder:
        hubs = prepare_hubs(folder)
        release = build_release(
            folder / "release",
            flist_keys=hubs[WITHOUT].key_file,
            progress=talk,
            level=LEVEL,
            is_debug=True,
        )
        boots = boot_all(release, hubs, folder / "machine", rounds, idle_s)
        talk("updates of one file, in turns with whole flists")
        costs = measure_updates(release, hubs[WITH], folder / "site", updates)
    results = summarise(boots) | summarise_changes(costs)
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
            return Boot(ready_s, watch(machine, idle_s // 2, idle_s))


def summarise(boots: Mapping[str, Sequence[Boot]]) -> Results:
    """Return the medians of the boots; the name of a row ends with its unit."""

    def rows(value: Callable[[Boot], float]) -> dict[str, float]:
        return {name: median(map(value, found)) for name, found in boots.items()}

    def each(key: str) -> dict[str, float]:
        found = [boot.idle.each for boot in boots[WITH]]
        return {name: median(row[name][key] for row in found) for name in sorted(found[0])}

    return {
        "boot to ready, s": rows(lambda boot: boot.ready_s),
        "memory in use, MiB": rows(lambda boot: boot.idle.used_mib),
        "switches of context, a minute": rows(lambda boot: boot.idle.switches),
        "processes and threads started, a minute": rows(lambda boot: boot.idle.threads),
        "memory of each daemon (PSS), MiB": each("pss_mib"),
        "processor time of each daemon, ms a minute": each("cpu_ms"),
        "wake-ups of each daemon, a minute": each("wakeups"),
    }


def summarise_changes(costs: Mapping[str, Sequence[Cost]]) -> Results:
    """Return the medians of the updates."""
    return {
        "from fetching to running, s": {n: median(c[0] for c in rows) for n, rows in costs.items()},
        "sent by the hub, kB": {n: median(c[1] for c in rows) / 1000 for n, rows in costs.items()},
    }


def median(values: Iterable[float]) -> float:
    """Return the median of the rounds."""
    return statistics.median(values)


def describe(results: Results) -> str:
    """Return the tables and ratios."""
    parts = []
    for title, rows in results.items():
        what, unit = title.rsplit(", ", 1)
        parts.append(render(what, rows, unit))
        if aims := [aim for aim in (*AIMS, *CHANGES) if aim.ours in rows]:
            parts.append(render_aims(aims, rows))
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
