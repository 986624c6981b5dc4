"""The hub beside nginx with sendfile, which serves the same files with as many processes.

    blocks    blocks of 200 KB to 512 KiB on 1, 16 and 64 connections that are kept
    flist     one flist of 20 MB on 4 connections
    uploads   blocks of 512 KiB, beside plain PUT to nginx (its dav module)
    nodes     1,000 nodes that fetch a flist and its blocks at once

The load comes from wrk, which is written in C, and for the nodes from two processes that drop the
bodies in the kernel. Servers and clients share the processors of this machine, so the ratios count,
and beside each is the processor time that the server took for a request.

    zos bench hub [--quick] [--json]
"""

import contextlib
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from bench.bench_bootstrap import percentiles
from bench.helpers import DEADLINE_S, need, read_options, talk
from bench.wrk import Wrk
from flist.blocks.codec import digest
from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.viewer import SCOPES
from tests.helpers.flist.gallery import write_large
from tests.helpers.flist.servers import run_nginx
from tests.helpers.serving.process import running

BLOCKS, LEAST_BYTES, MOST_BYTES = 200, 200_000, 512 << 10
FLIST_ENTRIES, COLD_ENTRIES = 250_000, 12_000  # about 20 MB and 1 MB
NODES, NODE_BLOCKS, CLIENTS = 1000, 10, 2
CONNECTIONS = (1, 16, 64)
AIM = 0.8
NGINX = "; root {root}; sendfile on; keepalive_requests 1000000; client_max_body_size 8m;"
NGINX += " client_body_buffer_size 1m; dav_methods PUT;"
Row = dict[str, float]


@dataclass(frozen=True)
class Contender:
    """A server that runs, and its processes."""

    name: str
    url: str
    process: psutil.Process

    def family(self) -> list[psutil.Process]:
        """Return all its processes."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_s(self) -> float:
        """Return the processor time that they have used."""
        times = [process.cpu_times() for process in self.family()]
        return float(sum(found.user + found.system for found in times))

    def pss_bytes(self) -> int:
        """Return their memory; what several share is counted once."""
        return int(sum(process.memory_full_info().pss for process in self.family()))


class Stock:
    """A hub with accounts in the folder `root`, whose public files nginx has in the same places."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "put").mkdir()
        (root / "put").chmod(0o777)  # nginx' workers are another user
        self.hub = open_hub(HubSettings(root=root))
        account = self.hub.accounts.create("me", is_admin=True)
        self.viewer = self.hub.accounts.viewer_of(account, SCOPES)
        self.token = self.hub.tokens.create(account, "bench", SCOPES)

    def add_blocks(self) -> list[str]:
        """Add blocks that everybody may read; return their paths."""
        rng, paths = random.Random(7), []
        for _ in range(BLOCKS):
            data = rng.randbytes(rng.randint(LEAST_BYTES, MOST_BYTES))
            block_id = digest(data)
            self.hub.blocks.put(self.viewer, block_id, data, is_open=True)
            paths.append(f"/blocks/{block_id.hex()[:2]}/{block_id.hex()}")
        return paths

    def add_flist(self, name: str, entries: int) -> str:
        """Publish a flist of so many entries; return its path."""
        place = self.root / "me" / name
        place.parent.mkdir(exist_ok=True)
        write_large(place, one=entries)
        place.chmod(0o644)
        draft = self.hub.contents.receive([place.read_bytes()])
        try:
            self.hub.flists.publish(self.viewer, "me", name, draft)
        finally:
            draft.discard()
        return f"/me/{name}"


@contextlib.contextmanager
def run_both(folder: Path, root: Path) -> Iterator[list[Contender]]:
    """Run both servers, each with as many processes as there are processors."""
    count = len(os.sched_getaffinity(0))
    call = [sys.executable, "-m", "zero_os", "hub", "serve", str(root), "--listen", "127.0.0.1:0"]
    call += ["--workers", "0", "--log-level", "warning"]
    more = NGINX.format(root=root)
    with (
        running(call, folder / "log") as ours,
        run_nginx(folder / "nginx", more, "worker_connections 4096;", workers=count) as port,
    ):
        process = psutil.Process(int((folder / "nginx" / "nginx.pid").read_text()))
        yield [
            Contender("ours", ours.url, psutil.Process(ours.process.pid)),
            Contender("nginx", f"http://127.0.0.1:{port}", process),
        ]


def compare(
    title: str, rounds: int, servers: list[Contender], measure: Callable[[Contender], Row]
) -> dict[str, Row]:
    """Measure both in turns; print and return the medians.

    The ratios are medians of those of each round, in which the machine did much the same else.
    """
    rows: dict[str, list[Row]] = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in servers:
            before = server.cpu_s()
            row = measure(server)
            row["cpu_ms"] = 1000 * (server.cpu_s() - before) / max(1.0, row["requests"])
            rows[server.name].append(row)
            talk(f"  {title}, round {number + 1}: {server.name} {row['rps']:.0f} requests/s")
    found = {
        name: {key: statistics.median(row[key] for row in all_) for key in all_[0]}
        for name, all_ in rows.items()
    }
    for name, row in found.items():
        failed = f"  failed {row['failed']:.0f}" if row["failed"] else ""
        print(
            f"  {title:<26}{name:<7}{row['rps']:8.0f} requests/s{row['mbps']:8.0f} MB/s"
            f"{row['p50_ms']:8.1f} ms p50{row['p99_ms']:8.1f} ms p99"
            f"{row['cpu_ms']:8.3f} ms of CPU{failed}"
        )
    pairs = list(zip(rows["ours"], rows["nginx"], strict=True))
    shown = {
        key: statistics.median(ours[key] / max(theirs[key], 1e-9) for ours, theirs in pairs)
        for key in ("rps", "mbps", "cpu_ms")
    }
    print(
        f"  {'':<26}ratio  {shown['rps']:8.2f}{'':<11}{shown['mbps']:8.2f}{'':<36}"
        f"{shown['cpu_ms']:8.2f}"
    )
    return {**found, "ratio": shown}


def bench_uploads(
    wrk: Wrk, servers: list[Contender], rounds: int, seconds: int, token: str
) -> dict[str, Row]:
    """Send new blocks to both."""
    starts = itertools.count(0, 10_000_000)
    header = f'["Authorization"] = "Bearer {token}", ["Content-Type"] = "application/octet-stream"'

    def measure(server: Contender) -> Row:
        start = next(starts)
        ours = ("POST", "/api/v1/block?number=%d", header)
        words = ours if server.name == "ours" else ("PUT", f"/put/{start}-%d", "")
        return wrk.send(server.url, *words, MOST_BYTES, start, 4, seconds)

    return compare("uploads, 4 connections", rounds, servers, measure)


def bench_nodes(folder: Path, server: Contender, nodes: int, paths: list[str]) -> dict[str, Any]:
    """Let nodes fetch at once, and print what they waited for."""
    places = folder / "node-paths"
    places.write_text("".join(f"{path}\n" for path in paths))
    place = urlsplit(server.url)
    call = [sys.executable, "-m", "bench.hub_nodes", str(place.hostname), str(place.port)]
    call += [str(places), "--nodes", str(nodes // CLIENTS)]
    before = server.cpu_s()
    started = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)]
    told = [json.loads(client.communicate(timeout=DEADLINE_S)[0]) for client in started]
    times = {
        what: percentiles([value for row in told for value in row[what]])
        for what in ("nodes", "requests")
    }
    failures = [failure for row in told for failure in row["failures"].items()]
    print(f"  {nodes} nodes, {len(paths)} files each: {server.name}")
    for what, row in times.items():
        print(f"    {what:<10}" + "".join(f"{key:>6} {value:7.3f} s" for key, value in row.items()))
    received = sum(row["bytes"] for row in told)
    print(
        f"    {received / 1e9:.2f} GB, {server.cpu_s() - before:.1f} s of CPU of the server", end=""
    )
    print(f", memory {server.pss_bytes() / 1e6:.0f} MB (PSS), failed: {failures or 'nothing'}")
    return {**times, "failures": failures, "pss_bytes": server.pss_bytes()}


def bench(folder: Path, *, is_quick: bool) -> dict[str, Any]:
    """Measure everything."""
    rounds = 2 if is_quick else 11
    seconds = 1
    root = folder / "hub"
    stock = Stock(root)
    paths, flist = stock.add_blocks(), stock.add_flist("large.fl", FLIST_ENTRIES)
    wrk = Wrk(folder / "wrk")
    told: dict[str, Any] = {}
    with run_both(folder, root) as servers:
        for server in servers:  # everything is in the page cache, and the flist's digest known
            wrk.get(server.url, [flist, *paths], 1, 2)
            print(f"{server.name}: {len(server.family())} processes", end="  ")
            print(f"memory {server.pss_bytes() / 1e6:.0f} MB (PSS) at first")
        print("medians; the ratios are ours / nginx")
        for count in CONNECTIONS:
            told[f"blocks {count}"] = compare(
                f"blocks, {count} connections",
                rounds,
                servers,
                lambda server, count=count: wrk.get(server.url, paths, count, seconds),  # type: ignore[misc]
            )
        told["flist"] = compare(
            "flist, 4 connections", rounds, servers, lambda s: wrk.get(s.url, [flist], 4, seconds)
        )
        told["uploads"] = bench_uploads(wrk, servers, rounds, seconds, stock.token)
        nodes = NODES // 10 if is_quick else NODES
        cold = [stock.add_flist("cold.fl", COLD_ENTRIES), *paths[:NODE_BLOCKS]]
        told["nodes"] = {s.name: bench_nodes(folder, s, nodes, cold) for s in servers}
    return told


def main() -> int:
    """Measure and print; the exit status is 1 if an aim is missed or a request failed."""
    options = read_options("hub", __doc__, "fewer and shorter rounds, a tenth of the nodes")
    need("nginx", "wrk")
    # Servers have their files on disks, and the kernel has those that are asked for in memory.
    with tempfile.TemporaryDirectory(prefix="bench-hub-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
            told = bench(Path(name), is_quick=options.quick)
    if options.json:
        print(json.dumps(told))
    reads = [row["ratio"] for name, row in told.items() if name.startswith(("blocks", "flist"))]
    failures = [row["failures"] for row in told["nodes"].values()]
    is_met = min(min(row["rps"], row["mbps"]) for row in reads) >= AIM and not any(failures)
    print(f"downloads at least {AIM:g} of nginx, nothing failed: {'yes' if is_met else 'no'}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
