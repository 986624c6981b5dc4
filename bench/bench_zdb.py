"""Requests per second of zdb beside Debian's redis-server, by redis-benchmark.

Both keep the same promise in a run: nothing synced (redis without AOF), a sync each second, a sync
before each reply. They take turns in each round; shown are medians over rounds, and the median of
the rounds' ratios. Keys are mostly new, for zdb does not write a value that is there already.
0-db's ratios are those of its recording (2.0.7, 128 bytes, against redis without AOF).

    zos bench zdb [--quick] [--json] [--rounds N] [--folder DISK]
"""

import argparse
import contextlib
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.helpers import need, talk
from tests.helpers.flist.mount import free_port
from tests.helpers.waiting import wait_until
from tests.helpers.zdb.served import ask
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store

POLICIES = {"never": (), "interval": ("everysec",), "always": ("always",)}
ROUNDS = 3
NEW_KEYS, KNOWN_KEYS = 100_000_000, 20_000
RECORDED = {
    ("SET", 1, 1): 0.85, ("GET", 1, 1): 0.83, ("SET", 32, 1): 0.86, ("GET", 32, 1): 0.90,
    ("SET", 50, 1): 0.94, ("GET", 50, 1): 0.95, ("SET", 1, 16): 0.0023, ("GET", 1, 16): 0.0024,
    ("SET", 32, 16): 0.04, ("GET", 32, 16): 0.04, ("SET", 50, 16): 0.08, ("GET", 50, 16): 0.07,
}  # fmt: skip
SPREAD = 0x9E3779B97F4A7C15  # keys in no order
OPEN = """
import resource, sys, time
from pathlib import Path
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store
with Store(Path(sys.argv[1]), Path(sys.argv[2]), StoreSettings(sync="never")) as store:
    count, peak = store.namespaces["default"].entries, resource.getrusage(0).ru_maxrss / 1024
    print(f"{sys.argv[3]}: {count} keys, {time.process_time():.1f} s of processor time,"
          f" {peak:.0f} MiB of memory at most")
"""
ENOUGH, NEARLY = 50_000, 0.8
"""Of SET by 32 clients: so many a second, or this part of what redis does."""


class Shape(NamedTuple):
    """One way to ask."""

    command: str
    clients: int
    pipeline: int
    size: int
    policy: str

    @property
    def requests(self) -> int:
        """Return how many requests take about half a second."""
        count = 8_000 if self.clients == 1 else 30_000
        count *= 6 if self.pipeline > 1 else 1
        slower = 4 if self.size > 1000 else 1
        return count // (slower * (8 if self.policy == "always" else 1))

    def label(self) -> str:
        """Return the row's name."""
        return (
            f"{self.command} {self.clients:>2} clients {self.size:>4} B"
            f"{' -P 16' if self.pipeline > 1 else '      '} {self.policy:<8}"
        )


def shapes(is_quick: bool) -> list[Shape]:
    """Return all shapes; GET reads from memory or the kernel's cache, whatever the policy."""
    sizes = (128,) if is_quick else (128, 4096)
    return [
        Shape(command, clients, pipeline, size, policy)
        for policy in (("never",) if is_quick else POLICIES)
        for command in ("SET", "GET")[: 2 if policy == "never" else 1]
        for size in sizes
        for pipeline in (1, 16)
        for clients in (1, 32, 50)
    ]


@contextlib.contextmanager
def started(call: list[str | Path], port: int, folder: Path) -> Iterator[int]:
    """Run a server until the block ends."""
    with open(folder / "log", "w") as log:
        process = subprocess.Popen([str(word) for word in call], stdout=log, stderr=log)
    with process:
        try:
            wait_until(lambda: ask(port, "PING") == "+PONG", "the server")
            yield port
        finally:
            process.kill()


def redis_server(folder: Path, policy: str) -> contextlib.AbstractContextManager[int]:
    """Run redis-server with the same promise."""
    port = free_port()
    call: list[str | Path] = ["redis-server", "--port", str(port), "--save", "", "--dir", folder]
    for word in POLICIES[policy]:
        call += ["--appendonly", "yes", "--appendfsync", word]
    return started(call, port, folder)


def zdb_server(folder: Path, policy: str) -> contextlib.AbstractContextManager[int]:
    """Run zdb."""
    port = free_port()
    call: list[str | Path] = [sys.executable, "-m", "zero_os", "zdb", "serve", "--disk", folder]
    call += ["--listen", f"127.0.0.1:{port}", "--mode", "user", "--sync", policy]
    return started(call, port, folder)


SERVERS = {"redis": redis_server, "zdb": zdb_server}


def benchmark(port: int, shape: Shape, keys: int, count: int) -> float:
    """Return requests per second."""
    call = ["redis-benchmark", "-p", str(port), "-t", shape.command.lower(), "-d", str(shape.size)]
    call += ["-c", str(shape.clients), "-P", str(shape.pipeline), "-r", str(keys)]
    done = subprocess.run(
        [*call, "-n", str(count), "--csv"], capture_output=True, text=True, timeout=300, check=True
    )
    row = list(csv.reader(done.stdout.splitlines()))[-1]
    return float(row[1])


def measure(shape: Shape, ports: dict[str, int]) -> dict[str, float]:
    """Return what each server does once, one after the other."""
    keys = NEW_KEYS if shape.command == "SET" else KNOWN_KEYS
    return {name: benchmark(port, shape, keys, shape.requests) for name, port in ports.items()}


def run_round(wanted: list[Shape], place: Path, names: list[str]) -> dict[Shape, dict[str, float]]:
    """Measure all shapes once, servers in this order, on new ones for each policy and size."""
    found: dict[Shape, dict[str, float]] = {}
    groups = dict.fromkeys((s.policy, s.size, s.command) for s in wanted)
    for group in groups:
        mine = [s for s in wanted if (s.policy, s.size, s.command) == group]
        with tempfile.TemporaryDirectory(dir=place) as folder, contextlib.ExitStack() as stack:
            ports = {}
            for name in names:
                (Path(folder) / name).mkdir()
                ports[name] = stack.enter_context(SERVERS[name](Path(folder) / name, group[0]))
            if group[2] == "GET":
                fill = Shape("SET", 50, 16, group[1], "never")
                for port in ports.values():
                    benchmark(port, fill, KNOWN_KEYS, 5 * KNOWN_KEYS)
            for shape in mine:
                found[shape] = measure(shape, ports)
    return found


def summarize(rounds: list[dict[Shape, dict[str, float]]]) -> list[dict[str, object]]:
    """Return a row for each shape: medians and the median ratio."""
    rows: list[dict[str, object]] = []
    for shape in rounds[0]:
        of_redis = [each[shape]["redis"] for each in rounds]
        of_zdb = [each[shape]["zdb"] for each in rounds]
        ratios = [ours / theirs for ours, theirs in zip(of_zdb, of_redis, strict=True)]
        recorded = (
            RECORDED.get(shape[:3]) if shape.size == 128 and shape.policy == "never" else None
        )
        rows.append(
            {
                "shape": shape.label(),
                "redis": round(statistics.median(of_redis)),
                "zdb": round(statistics.median(of_zdb)),
                "ratio": round(statistics.median(ratios), 3),
                "lowest": round(min(ratios), 3),
                "highest": round(max(ratios), 3),
                "0-db's ratio": recorded,
            }
        )
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """Print the table."""
    print(f"{'requests per second':<38} {'redis':>8} {'zdb':>8}  ratio (range)          0-db's")
    for row in rows:
        spread = f"{row['ratio']:.2f} ({row['lowest']:.2f}-{row['highest']:.2f})"
        recorded = row["0-db's ratio"]
        print(
            f"{row['shape']:<38} {row['redis']:>8,} {row['zdb']:>8,}  {spread:<22}"
            f" {'' if recorded is None else recorded}"
        )


def is_enough(rows: list[dict[str, object]]) -> bool:
    """Return whether 32 clients get their SETs done fast enough."""
    wanted = Shape("SET", 32, 1, 128, "never").label()
    row = next(row for row in rows if row["shape"] == wanted)
    return float(str(row["zdb"])) >= ENOUGH or float(str(row["ratio"])) >= NEARLY


def measure_keys(count: int, folder: Path) -> None:
    """Fill a store with keys and values of 16 bytes, and open it, also without its index."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        data, index = Path(name) / "data", Path(name) / "index"
        with Store(data, index, StoreSettings(sync="never")) as store:
            for number in range(count):
                key = (number * SPREAD % (1 << 128)).to_bytes(16, "little")
                store.namespaces["default"].set(key, b"%016d" % number)
                if number % 1000 == 0:
                    store.commit()
        for what in ("as it was closed", "without its index"):
            subprocess.run([sys.executable, "-c", OPEN, data, index, what], check=True)
            for path in (index / "default").glob("i[0-9]*"):
                path.unlink()


def main() -> int:
    """Measure and print; the exit status is 1 if zdb is too slow."""
    parser = argparse.ArgumentParser(prog="zos bench zdb", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="128 bytes, without syncs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), metavar="DISK")
    parser.add_argument("--keys", type=int, metavar="N", help="instead: what N keys cost to open")
    options = parser.parse_args()
    if options.keys:
        measure_keys(options.keys, options.folder)
        return 0
    need("redis-server", "redis-benchmark")
    rounds = []
    for number in range(options.rounds):
        talk(f"round {number + 1} of {options.rounds}")
        began = time.monotonic()
        names = list(SERVERS)[:: -1 if number % 2 else 1]  # none is always after the same one
        rounds.append(run_round(shapes(options.quick), options.folder, names))
        talk(f"  took {time.monotonic() - began:.0f} s")
    rows = summarize(rounds)
    if options.json:
        print(json.dumps({"zdb": rows}))
    else:
        show(rows)
    return 0 if is_enough(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
