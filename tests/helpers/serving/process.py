"""Servers as processes of their own, with their log in a file."""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import urllib3

from tests.helpers.waiting import wait_until

ANSWER_S = 60.0
END_S = 60.0
TINY = [sys.executable, "-m", "tests.helpers.serving.tiny"]
URL = re.compile(r"https?://[0-9.]+:\d+")


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    process: subprocess.Popen[str]
    log: Path
    authority: Path | None = None  # whose certificate is trusted

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        place = urlsplit(self.url)
        assert place.hostname and place.port
        return place.hostname, place.port

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> urllib3.response.BaseHTTPResponse:
        """Send one request on a connection of its own; `_` in a header's name stands for `-`."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        with urllib3.PoolManager(retries=False, timeout=ANSWER_S, ca_certs=self.authority) as pool:
            return pool.request(method, self.url + path, headers=named, body=body, redirect=False)

    def lines(self) -> list[dict[str, Any]]:
        """Return the log's JSON lines. Every line that begins with a brace must be one."""
        text = self.log.read_text()
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def find_lines(self, **fields: object) -> list[dict[str, Any]]:
        """Return the log's lines that have all of these fields."""
        return [line for line in self.lines() if fields.items() <= line.items()]

    def metric(self, name: str) -> float:
        """Return the value of one sample of /metrics, written as it is there; 0 if absent."""
        for line in self.ask("/metrics").data.decode().splitlines():
            sample, _, value = line.rpartition(" ")
            if sample == name:
                return float(value)
        return 0.0

    def rss_bytes(self) -> int:
        """Return the memory of the process."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def file_count(self) -> int:
        """Return how many descriptors the process has open."""
        return int(psutil.Process(self.process.pid).num_fds())

    def cpu_s(self) -> float:
        """Return the seconds of CPU time that the process has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def limit_files(self, count: int) -> None:
        """Set the process' limit of open descriptors."""
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (count, count))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(END_S)


@contextlib.contextmanager
def running(
    call: Sequence[str | Path],
    log: Path,
    prepare: Callable[[], None] | None = None,
    start_s: float = ANSWER_S,
    authority: Path | None = None,
    **environment: str,
) -> Iterator[Running]:
    """Run a server that prints its URL on stdout or stderr; it answers when the block begins."""
    env = {**os.environ, **environment}
    with open(log, "w") as stream:
        process = subprocess.Popen(
            list(map(str, call)), stdout=stream, stderr=stream, text=True, env=env,
            preexec_fn=prepare,
        )  # fmt: skip

    def find_url() -> str:
        found = URL.search(log.read_text())
        is_over = process.poll() is not None
        assert found or not is_over, f"the server ended: {log.read_text()}"
        return found[0] if found else ""

    with process:
        try:
            url = wait_until(find_url, "the server's URL", start_s)
            yield Running(url, process, log, authority)
        finally:
            process.kill()


def run_tiny(
    tmp_path: Path, *words: str | Path, **more: Any
) -> contextlib.AbstractContextManager[Running]:
    """Run the tiny server on the files of `tmp_path`."""
    call = [*TINY, "--folder", tmp_path, "--log-format", "json", *words]
    return running(call, tmp_path / "log", **more)
