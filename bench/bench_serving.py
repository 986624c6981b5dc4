"""How long a good client waits while thousands of others are slow, idle or half-open.

The same small file is fetched from the kit's tiny server and from nginx: idle, and with the mix of
5,000 bad clients of `tests.helpers.serving.crowd`. Each request has a connection of its own.

    zos bench serving [ROUNDS]
"""

import contextlib
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3

from bench.helpers import Aim, need, render, render_aims, scratch_folder, talk
from tests.helpers.flist.servers import nginx_server
from tests.helpers.serving.crowd import crowd, raise_file_limit
from tests.helpers.serving.process import ANSWER_S, run_tiny

CLIENTS = 5000
ROUNDS = 5
REQUESTS = 40
SMALL_BYTES = 1000
LARGE_BYTES = 200_000_000
MAX_CONNECTIONS = 8192
AIM_MS = 100.0
IDLE, BUSY = "idle", f"with {CLIENTS:,} bad clients"
WORKERS = f"worker_connections {MAX_CONNECTIONS};"


def take_median_ms(url: str) -> float:
    """Return the median time of some requests in milliseconds."""
    times = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        with urllib3.PoolManager(retries=False, timeout=ANSWER_S) as pool:
            assert len(pool.request("GET", url).data) == SMALL_BYTES
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def measure(rounds: int, url: str, address: tuple[str, int], large: str) -> dict[str, float]:
    """Return the median of each situation in milliseconds."""
    idle = statistics.median(take_median_ms(url) for _ in range(rounds))
    with crowd(address, CLIENTS, large):
        busy = statistics.median(take_median_ms(url) for _ in range(rounds))
    return {IDLE: idle, BUSY: busy}


@contextlib.contextmanager
def run_both(folder: Path) -> Iterator[dict[str, tuple[str, str]]]:
    """Run both servers on the same folder; give each one's URL and the path of its files."""
    words = ["--max-connections", str(MAX_CONNECTIONS), "--log-level", "warning"]
    with (
        run_tiny(folder, *words) as ours,
        nginx_server(folder / "nginx", folder, WORKERS) as port,
    ):
        yield {"ours": (ours.url, "/file/"), "nginx": (f"http://127.0.0.1:{port}", "/")}


def main() -> int:
    """Measure, and print the table; the exit status is 1 if ours takes too long."""
    need("nginx")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    raise_file_limit(2 * MAX_CONNECTIONS + 1000)
    times: dict[str, float] = {}
    with scratch_folder("serving") as folder:
        (folder / "small").write_bytes(bytes(SMALL_BYTES))
        with open(folder / "large", "wb") as stream:
            stream.truncate(LARGE_BYTES)
        with run_both(folder) as servers:
            for name, (url, base) in servers.items():
                talk(f"measuring {name}")
                host, _, port = url.rpartition("/")[2].partition(":")
                found = measure(rounds, f"{url}{base}small", (host, int(port)), f"{base}large")
                times.update({f"{name}, {what}": value for what, value in found.items()})
    print(render("one small file, a new connection each", times, "ms"))
    aims = [
        Aim("ours / nginx, idle", f"ours, {IDLE}", f"nginx, {IDLE}"),
        Aim("ours / nginx, with bad clients", f"ours, {BUSY}", f"nginx, {BUSY}"),
        Aim("ours with bad clients / idle", f"ours, {BUSY}", f"ours, {IDLE}"),
    ]
    print(render_aims(aims, times))
    is_met = times[f"ours, {BUSY}"] < AIM_MS
    print(f"ours with bad clients: below {AIM_MS:g} ms: {'yes' if is_met else 'no'}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
