"""Nodes that report to a registry, beside a server that only verifies and inserts.

Every node registers and then sends heartbeats, with real signatures, to a real server with SQLite
on a disk. The same bodies go to a server on the same kit that verifies the signature and inserts
one row (bench/registry_nodes/plain.py). Requests come from one process on 64 connections, and all
share the processors of this machine: the ratios count, and the processor time of a report. Bodies
are signed before each round, which has 1,000 nodes at most: a report that arrives a minute late is
doubted.

More nodes than 10,000 are not simulated but computed, from what was measured.

    zos bench registry [--nodes N] [--rounds N] [--quick] [--json]
"""

import argparse
import contextlib
import itertools
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench.bench_bootstrap import percentiles
from bench.helpers import talk
from bench.registry_nodes.sender import Post, Sent, send
from tests.helpers.registry.served import serving, zos
from tests.helpers.registry.site import REGISTRATION, Node
from tests.helpers.serving.process import Running, running

SIMULATED_MAX, QUICK_NODES, ROUND_NODES, MIN_NODES = 10_000, 500, 1000, 10
INTERVAL_S = 2400
DAY_S, YEAR_DAYS = 86_400, 365
LIMITS = (
    *("--node-reports-per-minute", "--new-nodes-per-minute", "--address-bytes-per-day"),
    "--unproven-bytes-per-day",
)
FREE = tuple(word for name in LIMITS for word in (name, "0"))
QUIET = ("--max-connections-per-client", "0", "--log-level", "warning")
VERIFIED = 2000
HEARTBEAT = {
    "used": {"cru": 1, "mru": 1 << 30, "sru": 1 << 35, "hru": 0, "ipv4u": 0},
    "release": {
        "version": "20261101.1a2b3c4d.set.5e6f7a8b",
        "boot_version": "20261101.1a2b3c4d",
        "kernel": "6.12.57-amd64",
        "run_mode": "prod",
    },
    "problems": [],
}
Row = dict[str, float]


@dataclass
class Crowd:
    """The nodes, and the server that they report to."""

    server: Running
    nodes: list[Node]

    def ask_nonces(self) -> None:
        """Ask for the nonce of each node's first report."""
        posts = [("GET", f"/api/v1/nodes/{node.id}/nonce", b"") for node in self.nodes]
        for number, said in finish(send(self.server.address, posts)).answers.items():
            self.nodes[number].nonce = said["nonce"]

    def sign(self, kind: str) -> list[Post]:
        """Return the next report of each node."""
        body = REGISTRATION if kind == "register" else HEARTBEAT
        return [
            ("POST", f"/api/v1/nodes/{node.id}/reports",
             node.seal("report", node.payload(kind, body)))
            for node in self.nodes
        ]  # fmt: skip

    def note(self, sent: Sent) -> None:
        """Remember what was accepted."""
        for number, said in sent.answers.items():
            self.nodes[number].nonce = said["nonce"]
            self.nodes[number].sequence += 1


def finish(sent: Sent) -> Sent:
    """Return what was sent. Raises `RuntimeError` if something was refused."""
    if sent.failures:
        raise RuntimeError(f"{len(sent.failures)} requests failed: {sent.failures[0]}")
    return sent


def measure(server: Running, posts: list[Post]) -> tuple[Row, Sent]:
    """Send reports; return what they cost."""
    before = server.cpu_s()
    sent = finish(send(server.address, posts))
    cpu_ms = 1000 * (server.cpu_s() - before) / len(posts)
    times = {f"{name}_ms": 1000 * value for name, value in percentiles(sent.times).items()}
    return {"rps": len(posts) / sent.total_s, "cpu_ms": cpu_ms, **times}, sent


def measure_verify(post: Post) -> Row:
    """Return what verifying a signature of a body of this size costs, and nothing else."""
    node = Node(lambda *_: (0, {}), time.time)
    signature = node.private.sign(post[2])
    began = time.process_time()
    for _ in range(VERIFIED):
        Ed25519PublicKey.from_public_bytes(node.public).verify(signature, post[2])
    each_s = (time.process_time() - began) / VERIFIED
    return {"rps": 1 / each_s, "cpu_ms": 1000 * each_s}


def read_size(place: Path) -> int:
    """Return the bytes of a SQLite database, with what is not written into its file yet."""
    with contextlib.closing(sqlite3.connect(place)) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    return int(pages) * int(size)


@contextlib.contextmanager
def run_both(folder: Path) -> Iterator[tuple[Running, Running]]:
    """Run a registry with a farm, and the plain server."""
    zos("init", folder / "state")
    zos("farm", "key", folder / "farm.key")
    database = str(folder / "plain.db")
    call = [sys.executable, "-m", "bench.registry_nodes.plain", "--file", database, *QUIET]
    with (
        serving(folder / "state", *FREE, *QUIET) as ours,
        running(call, folder / "plain.log") as plain,
    ):
        zos("farm", "register", ours.url, "--key", folder / "farm.key", "--name", "bench")
        yield ours, plain


def bench(folder: Path, nodes: int, rounds: int) -> dict[str, Any]:
    """Return what was measured."""
    with run_both(folder) as (ours, plain):
        crowds = [
            Crowd(ours, [Node(lambda *_: (0, {}), time.time) for _ in range(begin, end)])
            for begin, end in itertools.pairwise(split(nodes))
        ]
        registered = medians([register(crowd) for crowd in crowds])
        before = read_size(folder / "state" / "registry.db")
        pairs = [
            compare(crowd, plain, is_first=bool(number % 2))
            for number, crowd in enumerate(crowds * rounds)
        ]
        grown = read_size(folder / "state" / "registry.db") - before
        memory = ours.rss_bytes()
    return {
        "nodes": nodes,
        "load": os.getloadavg()[0],
        "register": registered,
        **sum_up(pairs, measure_verify(crowds[0].sign("heartbeat")[0])),
        "bytes_per_report": grown / (nodes * rounds),
        "memory_bytes": memory,
    }


def split(nodes: int) -> list[int]:
    """Return where rounds begin and end, in equal parts."""
    parts = -(-nodes // ROUND_NODES)
    return [nodes * part // parts for part in range(parts + 1)]


def register(crowd: Crowd) -> Row:
    """Let nodes register; return what it cost."""
    crowd.ask_nonces()
    row, sent = measure(crowd.server, crowd.sign("register"))
    crowd.note(sent)
    talk(f"  {len(crowd.nodes)} nodes registered: {row['rps']:.0f} reports/s")
    return row


def compare(crowd: Crowd, plain: Running, *, is_first: bool) -> tuple[Row, Row]:
    """Send a heartbeat of each node to both servers, to ours first or last."""
    posts, rows = crowd.sign("heartbeat"), {}
    for server in (crowd.server, plain) if is_first else (plain, crowd.server):
        rows[server.url], sent = measure(server, posts)
        if server is crowd.server:
            crowd.note(sent)
    ours, theirs = rows[crowd.server.url], rows[plain.url]
    talk(f"  heartbeats: {ours['rps']:.0f} reports/s, plain {theirs['rps']:.0f}")
    return ours, theirs


def sum_up(pairs: list[tuple[Row, Row]], verify: Row) -> dict[str, Row]:
    """Return medians, and ratios: medians of those of each round."""
    ours, plain = (medians(list(rows)) for rows in zip(*pairs, strict=True))
    ratio = {
        "rps": statistics.median(our["rps"] / their["rps"] for our, their in pairs),
        "cpu": statistics.median(our["cpu_ms"] / their["cpu_ms"] for our, their in pairs),
        "cpu_to_verify": ours["cpu_ms"] / verify["cpu_ms"],
    }
    return {"ours": ours, "plain": plain, "verify": verify, "ratio": ratio}


def medians(rows: list[Row]) -> Row:
    """Return the median of each value."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def extrapolate(told: dict[str, Any], nodes: int) -> dict[str, float]:
    """Return what so many nodes need, if a report costs what it cost here."""
    rate = nodes / INTERVAL_S
    return {
        "nodes": nodes,
        "reports_per_s": rate,
        "processors": rate * told["ours"]["cpu_ms"] / 1000,
        "share_of_measured_rate": rate / told["ours"]["rps"],
        "gb_per_day": rate * DAY_S * told["bytes_per_report"] / 1e9,
        "gb_per_year": rate * DAY_S * YEAR_DAYS * told["bytes_per_report"] / 1e9,
        "all_register_s": nodes / told["register"]["rps"],
    }


def show(told: dict[str, Any]) -> None:
    """Print what was measured."""
    ratio, verify = told["ratio"], told["verify"]
    print(f"{told['nodes']} nodes (medians of rounds); load {told['load']:.1f}")
    for name in ("register", "ours", "plain"):
        row = told[name]
        print(
            f"  {name:<10}{row['rps']:8.0f} reports/s{row['cpu_ms']:8.3f} ms of CPU"
            f"{row['p50_ms']:8.1f} ms p50{row['p95_ms']:8.1f} ms p95{row['p99_ms']:8.1f} ms p99"
        )
    print(f"  {'verify':<10}{verify['rps']:8.0f} a second {verify['cpu_ms']:8.3f} ms of CPU")
    print(f"  ratio to plain: {ratio['rps']:.2f} of the rate, {ratio['cpu']:.2f} of the CPU time")
    print(f"  ratio to verify: {ratio['cpu_to_verify']:.1f} of the CPU time")
    print(f"  a report takes {told['bytes_per_report']:.0f} bytes of the database")
    print(f"  the server has {told['memory_bytes'] / (1 << 20):.0f} MiB of memory")


def show_many(row: dict[str, float]) -> None:
    """Print what was computed, and what it assumes."""
    print(f"{row['nodes']:,.0f} nodes, computed:")
    print(f"  {row['reports_per_s']:.0f} reports/s: one in {INTERVAL_S} s of each node, evenly")
    print(f"  {row['processors']:.2f} processors")
    print(f"  {row['share_of_measured_rate']:.0%} of the rate that was measured")
    print(f"  {row['gb_per_day']:.1f} GB a day, {row['gb_per_year']:.0f} GB a year with all leaves")
    print(f"  {row['all_register_s']:.0f} s until all have registered, if they come at once")
    print("  assumes that a report costs what it cost here: larger tables have deeper trees, and")
    print("  need a disk that takes the writes; PostgreSQL, quotes and TLS are not measured")


def read_words() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="zos bench registry", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--nodes", type=int, default=SIMULATED_MAX, help="how many nodes report")
    parser.add_argument("--rounds", type=int, default=3, help="heartbeats of each node")
    parser.add_argument("--quick", action="store_true", help=f"at most {QUICK_NODES} nodes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.nodes < MIN_NODES or options.rounds < 1:
        parser.error(f"--nodes is at least {MIN_NODES}, --rounds at least 1")
    return options


def main() -> int:
    """Measure and print."""
    options = read_words()
    most = QUICK_NODES if options.quick else SIMULATED_MAX
    with tempfile.TemporaryDirectory(prefix="bench-registry-", dir="/var/tmp") as name:
        told = bench(Path(name), min(options.nodes, most), options.rounds)
    many = extrapolate(told, options.nodes) if options.nodes > told["nodes"] else None
    if options.json:
        print(json.dumps({**told, "computed": many}))
        return 0
    show(told)
    if many:
        show_many(many)
    return 0


if __name__ == "__main__":
    sys.exit(main())
