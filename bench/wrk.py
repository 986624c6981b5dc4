"""The load generator wrk: C, one thread, many connections; it reads and drops what it receives."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.helpers import DEADLINE_S

SCRIPT = """
local names, at = {}, 0
for line in io.lines("%(list)s") do names[#names + 1] = line end
function init(args) math.randomseed(os.time()); at = math.random(#names) end
function request()
  at = at %% #names + 1
  %(request)s
end
function done(summary, latency, requests)
  local bad = summary.errors
  local failed = bad.connect + bad.read + bad.write + bad.status + bad.timeout
  io.write(string.format('\\n{"requests": %%d, "bytes": %%d, "seconds": %%f, "failed": %%d, '
    .. '"p50_ms": %%f, "p99_ms": %%f}\\n', summary.requests, summary.bytes, summary.duration / 1e6,
    failed, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""
GET = 'return wrk.format("GET", names[at])'
SEND = """
  count = (count or 0) + 1
  local body = string.format("%%016d%%s", start + count, rest)
  return wrk.format("%(method)s", string.format(names[at], count), {%(headers)s}, body)
"""


class Wrk:
    """Runs wrk against one server; its scripts are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(
        self, url: str, paths: Sequence[str], connections: int, seconds: int
    ) -> dict[str, float]:
        """Ask for paths, one after the other on each connection."""
        return self.run(url, GET, paths, connections, seconds)

    def send(
        self,
        url: str,
        method: str,
        path: str,
        headers: str,
        size: int,
        start: int,
        connections: int,
        seconds: int,
    ) -> dict[str, float]:
        """Send bodies of `size` bytes, none of them twice; `path` has a place for a number."""
        text = SEND % {"method": method, "headers": headers}
        text = f"start, rest = {start}, rest or string.rep('x', {size - 16})\n" + text
        return self.run(url, text, [path], connections, seconds)

    def run(
        self, url: str, text: str, paths: Sequence[str], connections: int, seconds: int
    ) -> dict[str, float]:
        """Run wrk with a script; return rates per second, percentiles, and failures."""
        places, script = self.folder / "paths", self.folder / "script.lua"
        places.write_text("".join(f"{path}\n" for path in paths))
        script.write_text(SCRIPT % {"list": places, "request": text})
        call = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "-s", str(script), url]
        done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=DEADLINE_S)
        told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
        span_s = told["seconds"]
        rates = {"rps": told["requests"] / span_s, "mbps": told["bytes"] / span_s / 1e6}
        return {**told, **rates}
