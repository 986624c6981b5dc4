"""Registries as processes of their own."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.helpers.checkout import TOP
from tests.helpers.serving.process import Running, running

ZOS = [sys.executable, "-m", "zero_os"]
END_WITHIN_S = 120


def zos(*words: str | Path, is_good: bool = True) -> str:
    """Run `zos registry`; return what it prints, or what it says if it has to fail."""
    done = subprocess.run(
        [*ZOS, "registry", *map(str, words)],
        capture_output=True, text=True, timeout=END_WITHIN_S, cwd=TOP, check=False,
    )  # fmt: skip
    assert (done.returncode == 0) == is_good, done.stderr
    return done.stdout if is_good else done.stderr


@contextlib.contextmanager
def serving(state: Path, *words: str | Path, log: str = "log") -> Iterator[Running]:
    """Serve the registry in `state`."""
    call = [*ZOS, "registry", "serve", str(state), "--listen", "127.0.0.1:0"]
    with running([*call, "--log-format", "json", *map(str, words)], state.parent / log) as server:
        yield server


class Client:
    """Sends what the helpers of the registry's tests send, to one of several servers in turn."""

    def __init__(self, servers: Sequence[Running]) -> None:
        self.servers = servers
        self.turn = 0

    def __call__(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        """Send a request."""
        self.turn += 1
        answer = self.servers[self.turn % len(self.servers)].ask(path, method, body or None)
        return answer.status, json.loads(answer.data)
