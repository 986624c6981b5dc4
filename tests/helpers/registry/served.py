"""Registries as processes of their own."""

import contextlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import run_command
from registry.cli import main
from tests.helpers.serving.process import Running, running

ZOS = [sys.executable, "-m", "zero_os"]
PROG = "zos registry"


def zos(*words: str | Path, is_good: bool = True) -> str:
    """Run a command of `zos registry` here; return what it prints, or says if it has to fail."""
    said, printed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        status = run_command(lambda argv: main(argv, PROG), list(map(str, words)), PROG)
    assert (status == 0) == is_good, said.getvalue()
    return printed.getvalue() if is_good else said.getvalue()


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
