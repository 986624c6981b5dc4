"""How fast, small and idle is zinit compared with s6, runit, supervisord and a posix_spawn loop?

Everything is measured in one run, in turns, and shown as medians and as ratios to the loop: on a
shared machine, absolute times mean little.
"""

import argparse
import json
import os
import selectors
import shutil
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.zinit_peers import PEERS, Loop, Peer, Zinit, make_service

CLIENTS = 100
REQUESTS = 50  # per client


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="zos bench zinit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds per count (median)")
    parser.add_argument("--counts", default="1,100,1000", help="numbers of services")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of idle time to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    counts = [int(word) for word in options.counts.split(",")]
    with tempfile.TemporaryDirectory(prefix="bench-zinit-") as top:
        program = make_service(Path(top))
        peers: list[type[Peer]] = [
            peer for peer in PEERS if not peer.needs or shutil.which(peer.needs)
        ]
        missing = [peer.name for peer in PEERS if peer not in peers]
        results: dict[str, dict[str, Any]] = {
            "start": measure_starts(Path(top), program, peers, counts, options.rounds),
            "running": measure_running(Path(top), program, peers, options.idle),
            "requests": measure_requests(Path(top), program),
        }
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
    print(json.dumps(results) if options.json else render(results, counts))
    return 0


def measure_starts(
    top: Path, program: Path, peers: list[type[Peer]], counts: list[int], rounds: int
) -> dict[str, dict[str, float]]:
    """Return, per peer and count, the median seconds from launch to all services running."""
    times: dict[str, dict[str, list[float]]] = {peer.name: {} for peer in peers}
    for count in counts:
        turns = max(1, rounds if count <= 100 else rounds // 2)
        for turn in range(turns):
            for kind in peers:
                if count > 100 and kind.name in ("runit", "supervisord") and turn:
                    continue  # far slower than the others: one round is enough
                talk(f"{kind.name}, {count} services, round {turn + 1}")
                peer = kind(top / f"{kind.name}-{count}-{turn}", program)
                try:
                    peer.prepare(count)
                    os.sync()  # writing files is not part of the measurement
                    times[kind.name].setdefault(str(count), []).append(peer.launch(count))
                finally:
                    peer.close()
    return {
        name: {count: statistics.median(values) for count, values in rows.items()}
        for name, rows in times.items()
    }


def measure_running(
    top: Path, program: Path, peers: list[type[Peer]], idle_s: float
) -> dict[str, dict[str, float]]:
    """Return memory, restart latency and idle processor time with 100 services each."""
    running: list[Peer] = []
    results: dict[str, dict[str, float]] = {}
    try:
        for kind in peers:
            peer = kind(top / f"{kind.name}-running", program)
            peer.prepare(100)
            running.append(peer)
            peer.launch(100)
            results[peer.name] = {"pss_mb": peer.pss_kb() / 1024}
            results[peer.name]["processes"] = len(peer.supervisors())
            if not isinstance(peer, Loop):
                latencies = [peer.restart() for _ in range(5)]
                results[peer.name]["restart_ms"] = statistics.median(latencies) * 1000
        before = {peer.name: peer.cpu_s() for peer in running}
        talk(f"measuring {idle_s:g} s of idle time")
        time.sleep(idle_s)
        for peer in running:
            results[peer.name]["idle_cpu_ms"] = (peer.cpu_s() - before[peer.name]) * 1000
    finally:
        for peer in running:
            peer.close()
    return results


def measure_requests(top: Path, program: Path) -> dict[str, float]:
    """Return the latency of `status` with 100 concurrent clients, one connection per request."""
    peer = Zinit(top / "requests", program)
    latencies: list[float] = []
    try:
        peer.prepare(100)
        peer.launch(100)
        start = time.perf_counter()
        run_clients(str(peer.folder / "sock"), latencies)
        took_s = time.perf_counter() - start
    finally:
        peer.close()
    latencies.sort()
    return {
        "clients": CLIENTS,
        "per_second": len(latencies) / took_s,
        "median_ms": statistics.median(latencies) * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
    }


def run_clients(path: str, latencies: list[float]) -> None:
    """Keep 100 requests in flight until all are answered."""
    chooser = selectors.DefaultSelector()

    def ask() -> None:
        door = socket.socket(socket.AF_UNIX)
        start = time.perf_counter()
        door.connect(path)
        door.sendall(b"status s0001\n")
        chooser.register(door, selectors.EVENT_READ, start)

    for _ in range(CLIENTS):
        ask()
    asked = CLIENTS
    while chooser.get_map():
        for key, _ in chooser.select():
            door = key.fileobj
            assert isinstance(door, socket.socket)
            if door.recv(65536):
                continue
            latencies.append(time.perf_counter() - key.data)
            chooser.unregister(door)
            door.close()
            if asked < CLIENTS * REQUESTS:
                asked += 1
                ask()
    chooser.close()


def render(results: dict[str, dict[str, Any]], counts: list[int]) -> str:
    """Return the tables."""
    lines = ["launch to all services running, ms (ratio to the loop)"]
    starts, floor = results["start"], results["start"][Loop.name]
    lines.append(f"{'':<18}" + "".join(f"{count:>18}" for count in counts))
    for name, row in starts.items():
        cells = (
            f"{row[str(count)] * 1000:9.1f} ({row[str(count)] / floor[str(count)]:5.2f})"
            for count in counts
        )
        lines.append(f"{name:<18}" + "".join(f"{cell:>18}" for cell in cells))
    lines.append("\nwith 100 services")
    head = ("pss_mb", "processes", "restart_ms", "idle_cpu_ms")
    lines.append(f"{'':<18}" + "".join(f"{key:>14}" for key in head))
    for name, row in results["running"].items():
        cells = (f"{row[key]:.1f}" if key in row else "-" for key in head)
        lines.append(f"{name:<18}" + "".join(f"{cell:>14}" for cell in cells))
    asked = results["requests"]
    lines.append(
        f"\nzinit, {asked['clients']} concurrent clients: {asked['per_second']:.0f} requests/s, "
        f"median {asked['median_ms']:.1f} ms, 99th percentile {asked['p99_ms']:.1f} ms"
    )
    return "\n".join(lines)


def talk(text: str) -> None:
    """Print progress on stderr."""
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
