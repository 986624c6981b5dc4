"""What boots cost the bootstrap server: making images, sending them, a thousand nodes at once.

    make     CPU time to make a farm's image of each kind, beside mcopy into a copy of the stick's
             template, and xorriso with the same files
    send     an image, and the kernel of a store and of a folder, beside nginx with the same files,
             and a bare loop in Python: one process each, one connection that is kept
    storm    1,000 nodes that boot within a minute (bench/boot_storm.py), with a small release and
             with one of real size; each asks for all that its script would
    model    10,000 nodes, from what the storm cost here and from assumptions that are printed

All on the loopback of this machine, where clients and server share the processors.

    zos bench bootstrap [--quick] [--json]
"""

import contextlib
import itertools
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bench.boot_model import Site, simulate
from bench.boot_storm import fetch
from bench.helpers import (
    Aim,
    need,
    read_options,
    render,
    render_aims,
    run,
    scratch_folder,
    take_turns,
    talk,
)
from bootstrap_server.channels.bootable import SECURE, UKI
from bootstrap_server.images import disk
from bootstrap_server.images.kinds import KINDS, Kind
from bootstrap_server.images.personalise import TemplateHolder
from bootstrap_server.options.model import Options
from bootstrap_server.script.boot import fill_slot, render_script
from bootstrap_server.script.site import Site as Addresses
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from bootstrap_server.web.boot import make
from tests.helpers.flist.servers import nginx_server
from tests.helpers.releases.store import Maintainer, write_manifest
from tests.helpers.serving.process import Running, running

URL = "http://boot.example"
REPEATS = 100  # of an image that is made, for one value
AIM_MS = 1.0
AIM_RATE = 1 / 0.9  # the time of nginx, so 0.9 of its throughput
KERNEL_BYTES, ARCHIVE_BYTES = 12 << 20, 19 << 20  # about a release of the default profile
SMALL_BYTES = 50_000
SEND_BYTES = 500_000_000  # for one value
SEND_ROUNDS = 3  # for one of the others: the values are short, and differ much
NODES, OVER_S = 1000, 60.0
MODEL_NODES = 10_000
GIGABIT = 125_000_000
Result = dict[str, Any]


def take_cpu_s(work: Callable[[], object]) -> float:
    """Return the processor time that `work` takes, with that of programs that it runs."""

    def used() -> float:
        own, children = (resource.getrusage(who) for who in (0, resource.RUSAGE_CHILDREN))
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    before = used()
    work()
    return used() - before


def make_makers(releases: Path) -> dict[str, Callable[[], int]]:
    """Return functions that make an image of each kind, as a request does, and return its size."""
    server = create_app(Settings(URL, URL, releases)).state.server
    farms = itertools.count(1)  # another one for each image: the server remembers scripts

    def make_image(kind: Kind) -> int:
        options = Options("dev", next(farms), ("console=ttyS0",))
        content = make(server, kind, options if kind.max_parts else None)
        content.close()
        return content.size

    # The others need a release's program for UEFI, and a key.
    kinds = {name: kind for name, kind in KINDS.items() if kind.source not in (SECURE, UKI)}
    return {name: partial(make_image, kind) for name, kind in kinds.items()}


def make_peers(folder: Path) -> dict[str, Callable[[], object]]:
    """Return functions that make one with the tools that a server could call."""
    template = TemplateHolder().get("usb").data
    script = folder / "autoexec.ipxe"
    script.write_bytes(fill_slot(render_script(Options("dev", 4711), Addresses(URL, URL))))
    image, iso, files = folder / "farm.img", folder / "farm.iso", folder / "files"
    place = f"{image}@@{disk.PARTITION_START * disk.SECTOR_BYTES}"
    original = folder / "template.img"
    original.write_bytes(template)
    files.mkdir()
    run(
        "mcopy", "-s", "-i", f"{original}@@{disk.PARTITION_START * disk.SECTOR_BYTES}", "::/", files
    )

    def call_mcopy() -> None:
        image.write_bytes(template)
        run("mcopy", "-o", "-i", place, script, "::/autoexec.ipxe")

    def call_xorriso() -> None:
        run("xorriso", "-as", "mkisofs", "-quiet", "-o", iso, files)

    return {"mcopy into a copy": call_mcopy, "xorriso": call_xorriso}


def bench_make(folder: Path, rounds: int) -> Result:
    """Return the CPU time of every maker in milliseconds, and the sizes."""
    makers = make_makers(write_release(folder / "releases", KERNEL_BYTES, ARCHIVE_BYTES))
    sizes = {name: make() for name, make in makers.items()}  # the first loads the templates

    def repeat(make: Callable[[], object], times: int) -> Callable[[], float]:
        return lambda: 1000 * take_cpu_s(lambda: [make() for _ in range(times)]) / times

    contenders = {name: repeat(make, REPEATS) for name, make in makers.items()}
    contenders |= {name: repeat(make, 3) for name, make in make_peers(folder).items()}
    times = take_turns(rounds, contenders)
    print(render("CPU time to make one image", times, "ms"))
    slowest = max(times[name] for name in makers)
    print(f"  every kind below {AIM_MS:g} ms: {'yes' if slowest < AIM_MS else 'no'}")
    rows = sorted((size, name) for name, size in sizes.items())
    print("  by size: " + ", ".join(f"{s / 1e6:.1f} MB {times[n]:.3f} ms" for s, n in rows))
    return {"make_ms": times, "make_bytes": sizes, "is_met": slowest < AIM_MS}


@contextlib.contextmanager
def serve(log: Path, *source: str | Path) -> Iterator[Running]:
    """Run the bootstrap server on releases: `source` are its flags."""
    call = [sys.executable, "-m", "zero_os", "bootstrap", "serve", "--listen", "127.0.0.1:0"]
    call += [*map(str, source), "--hub", URL, "--log-level", "warning"]
    with running(call, log, start_s=600) as server:
        yield server


def write_release(folder: Path, kernel: int, archive: int) -> Path:
    """Write boot files of these sizes as the run mode dev; return the folder."""
    (folder / "dev").mkdir(parents=True)
    (folder / "dev" / "vmlinuz").write_bytes(os.urandom(kernel))
    (folder / "dev" / "initramfs.zst").write_bytes(os.urandom(archive))
    return folder


def make_store(folder: Path, releases: Path) -> list[str | Path]:
    """Put the release of a folder into a new store; return the flags that serve it."""
    maintainer = Maintainer.begin(folder)
    write_manifest(releases / "dev", "1.0")
    maintainer.add_folder(releases / "dev")
    maintainer.hold("dev", "1.0")
    return ["--store", maintainer.layout.top, "--store-root", folder / "keys" / "root.json"]


class Sender(NamedTuple):
    """A file at a URL, and the processes that send it."""

    url: str
    processes: list[psutil.Process]

    def used_s(self) -> float:
        """Return the processor time that the processes have used."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def take_gigabyte(self, used: list[float]) -> float:
        """Return the seconds for a gigabyte, measured with half of one; note the processor's."""
        before, began = self.used_s(), time.perf_counter()
        received = fetch(self.url, SEND_BYTES)
        took_s = time.perf_counter() - began
        used.append((self.used_s() - before) * 1e9 / received)
        return took_s * 1e9 / received


@contextlib.contextmanager
def run_senders(folder: Path) -> Iterator[dict[str, Sender]]:
    """Run the servers, with one process each that sends."""
    releases = write_release(folder / "releases", KERNEL_BYTES, ARCHIVE_BYTES)
    flags = make_store(folder / "store", releases)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(serve(folder / "store.log", *flags))
        plain = stack.enter_context(serve(folder / "folder.log", "--releases", releases))
        image = releases / "image"
        image.write_bytes(store.ask("/usb/dev/1").data)
        port = stack.enter_context(nginx_server(folder / "nginx", releases))
        call: list[str | Path] = [sys.executable, "-m", "bench.bare_sender", image]
        bare = stack.enter_context(running(call, folder / "bare.log"))
        config = str(folder / "nginx" / "nginx.conf")
        (nginx,) = [p for p in psutil.Process().children() if config in p.cmdline()]

        def ours(server: Running, path: str) -> Sender:
            return Sender(server.url + path, [psutil.Process(server.process.pid)])

        def peer(path: str) -> Sender:
            return Sender(f"http://127.0.0.1:{port}{path}", nginx.children())

        yield {
            "image": ours(store, "/usb/dev/1"),
            "image, nginx": peer("/image"),
            "image, bare loop in Python": ours(bare, "/image"),
            "kernel of a store": ours(store, "/kernel/dev/vmlinuz"),
            "kernel of a folder": ours(plain, "/kernel/dev/vmlinuz"),
            "kernel, nginx": peer("/dev/vmlinuz"),
        }


def bench_send(folder: Path, rounds: int) -> Result:
    """Return the seconds, and those of the processor, that a gigabyte takes from each server."""
    used: dict[str, list[float]] = {}
    with run_senders(folder) as senders:
        contenders = {}
        for name, sender in senders.items():
            fetch(sender.url, 1)  # what is read once is read now
            contenders[name] = partial(sender.take_gigabyte, used.setdefault(name, []))
        times = take_turns(SEND_ROUNDS * rounds, contenders)
    cpu = {name: statistics.median(values) for name, values in used.items()}
    print(render("one gigabyte on one connection", times))
    print(render("processor time of the server for it", cpu))
    aims = [
        Aim(f"{name} / nginx", name, f"{name.split()[0].rstrip(',')}, nginx", AIM_RATE)
        for name in senders
        if "nginx" not in name
    ]
    print(render_aims(aims, times))
    return {"send_s": times, "send_cpu_s": cpu}


def bench_storm(folder: Path, name: str, nodes: int, sizes: tuple[int, int]) -> Result:
    """Boot nodes at once; return percentiles, what the server used, and what failed."""
    releases = write_release(folder / name, *sizes)
    over_s = OVER_S * nodes / NODES
    with serve(folder / f"{name}.log", "--releases", releases) as server:
        server.ask("/usb/dev/1")
        has_log = server.ask("/boot/script?mac=52:54:00:ff:ff:ff&mode=dev").status == 200
        cpu_s, rss = server.cpu_s(), server.rss_bytes()
        words = ["--nodes", nodes, "--over", over_s, *(["--log"] if has_log else [])]
        talk(f"{nodes} nodes over {over_s:g} s, {name} release")
        call = [sys.executable, "-m", "bench.boot_storm", server.url, *words]
        told = json.loads(run(*map(str, call)))
        cpu_s, grown = server.cpu_s() - cpu_s, server.rss_bytes() - rss
    requests = {kind: percentiles(values) for kind, values in told["requests"].items()}
    said = {"boot": percentiles(told["boots"]), **requests}
    print(f"{nodes} nodes that boot within {over_s:g} s, {name} release of {sum(sizes):,} bytes")
    for kind, row in said.items():
        print(f"  {kind:<12}" + "".join(f"{what:>8} {value:7.3f} s" for what, value in row.items()))
    print(f"  all done after {told['seconds']:.1f} s, {told['bytes'] / 1e9:.2f} GB")
    print(f"  server: {cpu_s:.1f} s of CPU, {rss / 1e6:.0f} MB of memory, {grown / 1e6:+.0f} MB")
    print(f"  failed: {told['failures'] or 'nothing'}")
    is_met = not told["failures"] and len(told["boots"]) == nodes
    times = {"cpu_s": cpu_s / nodes, "rss_bytes": rss + grown}
    return {**times, "percentiles": said, "failures": told["failures"], "is_met": is_met}


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the middle and the tail of values."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}


def bench_model(small_cpu_s: float, cpu_s: float) -> Result:
    """Print what 10,000 nodes would wait for, by servers and links."""
    size = KERNEL_BYTES + ARCHIVE_BYTES
    print(f"model: {MODEL_NODES:,} nodes that start evenly over {OVER_S:g} s")
    print(f"  a release of {size:,} bytes, from one site; nodes with links of 1 Gbit/s")
    print(f"  a server handles boots in turn, with {1000 * small_cpu_s:.2f} ms of CPU for requests")
    per_gb = max(0.0, cpu_s - small_cpu_s) * 1e9 / size
    print(f"  (measured above; bytes cost it {per_gb:.2f} s of CPU per GB more), no losses")
    print("  its downloads share its link evenly; mirrors are servers")
    told = {}
    for servers, gigabits in ((1, 10), (4, 10), (1, 25), (4, 25)):
        rate = min(gigabits * GIGABIT, 1e9 / per_gb if per_gb else float("inf"))
        site = Site(MODEL_NODES, OVER_S, size, small_cpu_s, rate, GIGABIT, servers)
        row = percentiles(simulate(site))
        name = f"{servers} x {gigabits} Gbit/s"
        told[name] = row
        print(f"  {name:<16}" + "".join(f"{what:>6} {value:7.1f} s" for what, value in row.items()))
    return told


def main() -> int:
    """Measure and print; the exit status is 1 if a boot failed or an image takes too long."""
    options = read_options("bootstrap", __doc__, "a tenth of the nodes, and fewer rounds")
    need("nginx", "mcopy", "xorriso")
    rounds, nodes = (3, NODES // 10) if options.quick else (7, NODES)
    results: Result = {}
    with contextlib.ExitStack() as stack:
        if options.json:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        results["make"] = bench_make(stack.enter_context(scratch_folder("bootstrap")), rounds)
        # Servers have their releases on disks, and the kernel has those that are booted in memory.
        disk_folder = tempfile.TemporaryDirectory(prefix="bench-bootstrap-", dir="/var/tmp")
        folder = Path(stack.enter_context(disk_folder))
        folder.chmod(0o755)
        results["send"] = bench_send(folder / "send", rounds)
        small = bench_storm(folder, "small", nodes, (SMALL_BYTES, SMALL_BYTES))
        real = bench_storm(folder, "real", nodes, (KERNEL_BYTES, ARCHIVE_BYTES))
        results |= {"small": small, "real": real}
        results["model"] = bench_model(small["cpu_s"], real["cpu_s"])
    if options.json:
        print(json.dumps(results))
    return 0 if all(results[name]["is_met"] for name in ("make", "small", "real")) else 1


if __name__ == "__main__":
    sys.exit(main())
