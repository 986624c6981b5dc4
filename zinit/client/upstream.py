"""The line protocol's commands on a daemon that speaks JSON-RPC only, as upstream's 0.2.28 does.

Such a daemon never answers a line: it waits for the rest of a JSON value.
"""

import json
import socket

from zinit.client.errors import NoAnswerError, ZinitError, fail_to_talk, misunderstand
from zinit.client.rpc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

PROBE_S = 5.0
METHODS = {
    "list": "service_list",
    "status": "service_status",
    "start": "service_start",
    "stop": "service_stop",
    "forget": "service_forget",
    "monitor": "service_monitor",
    "kill": "service_kill",
    "shutdown": "system_shutdown",
    "reboot": "system_reboot",
}
LAST_COMMANDS = ("shutdown", "reboot")  # upstream ends before it answers them
OWN_METHOD = "service_restart"  # in the description of a daemon that speaks both protocols


def speaks_only_rpc(path: str) -> bool:
    """Return whether a daemon that is silent on the line protocol answers JSON-RPC."""
    try:
        description = call(path, "rpc.discover", [], PROBE_S)
    except ZinitError:
        return False
    return OWN_METHOD not in json.dumps(description)


def run(path: str, words: tuple[str, ...], timeout_s: float) -> object:
    """Send a command of the line protocol as JSON-RPC; return its result."""
    method = METHODS.get(words[0])
    if method is None:
        raise ZinitError(
            f"unknown command '{words[0]}'",
            hint="the daemon speaks JSON-RPC only, as upstream's zinit 0.2.28 does",
        )
    try:
        return call(path, method, list(words[1:]), timeout_s)
    except NoAnswerError:
        if words[0] not in LAST_COMMANDS:
            raise
        return None


def read_log(path: str, follow: bool, timeout_s: float) -> "Iterator[str]":
    """Yield the log's lines; with `follow`, wait for more."""
    lines = call(path, "stream_currentLogs", [], timeout_s)
    if not isinstance(lines, list):
        raise misunderstand(lines)
    yield from map(str, lines)
    if follow:
        yield from follow_log(path)


def follow_log(path: str) -> "Iterator[str]":
    """Yield new lines of the log until the daemon closes the connection."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "stream_subscribeLogs", "params": []}
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as stream:
                for text in stream:
                    yield from read_note(text)
        except OSError as error:
            raise fail_to_talk(path, error) from None


def read_note(text: bytes) -> list[str]:
    """Return the log line in a notification; none in any other message."""
    try:
        value: Any = json.loads(text)
        return [str(value["params"]["result"])]
    except (ValueError, TypeError, KeyError):
        return []
