"""Calls a server."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.ipc.errors import IpcError, UnreachableError
from common.ipc.lines import Lines

TIMEOUT_S = 10.0


def call(path: Path, method: str, timeout_s: float = TIMEOUT_S, **params: Any) -> Any:
    """Return the result of a method of the server at `path`. Raises `IpcError`."""
    with _asked(path, method, params, timeout_s) as lines:
        answer = _read(lines, path)
        return answer.get("result")


def stream(path: Path, method: str, timeout_s: float = TIMEOUT_S, **params: Any) -> Iterator[Any]:
    """Yield the items of a method that streams; each must come within `timeout_s`."""
    with _asked(path, method, params, timeout_s) as lines:
        while "item" in (answer := _read(lines, path)):
            yield answer["item"]


@contextlib.contextmanager
def _asked(path: Path, method: str, params: dict[str, Any], timeout_s: float) -> Iterator[Lines]:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            lines = Lines(connection, timeout_s)
            lines.write({"method": method, "params": params})
            yield lines
    except (OSError, TimeoutError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
        raise UnreachableError(f"cannot ask {path}: {reason}") from error


def _read(lines: Lines, path: Path) -> dict[str, Any]:
    answer = lines.read()
    if answer is None:
        raise UnreachableError(f"cannot ask {path}: it ended without an answer")
    fault = answer.get("error")
    if isinstance(fault, dict):
        hint = fault.get("hint")
        raise IpcError(
            str(fault.get("message")),
            hint=str(hint) if hint else None,
            code=str(fault.get("code", "")),
        )
    return answer
