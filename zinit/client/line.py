"""Talks to a running zinit over its control socket with the line protocol.

One connection per command, as upstream's clients do.
"""

import os
import time

from common.errors import ZosError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Iterator
else:
    import _socket

DEFAULT_SOCKET = "/run/zinit.sock"
TIMEOUT_S = 30.0
RESTART_TRIES = 20
RESTART_STEP_S = 1.0
FIRST_STEP_S = 0.02
STATUS_KEYS = ("name", "pid", "state", "target", "after")
RELOAD_KEYS = ("added", "changed", "restarted", "removed", "failed")
ANALYZE_KEYS = ("started", "now", "services")


class ZinitError(ZosError):
    """zinit refused a command; the message is its own text."""


class Client:
    """Commands for the daemon that listens on `path`."""

    def __init__(self, path: str = DEFAULT_SOCKET, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self.timeout_s = timeout_s

    def list(self) -> dict[str, str]:
        """Return the state of every service, by name."""
        states = self.ask_mapping("list")
        return {name: str(state) for name, state in states.items()}

    def status(self, name: str) -> "dict[str, object]":
        """Return name, pid, state, target and after (a mapping from name to state)."""
        return self.ask_mapping("status", name, keys=STATUS_KEYS)

    def start(self, name: str) -> None:
        """Want a service up."""
        self.call("start", name)

    def stop(self, name: str) -> None:
        """Want a service down; returns before it is."""
        self.call("stop", name)

    def restart(self, name: str) -> None:
        """Stop a service, wait until it is down (SIGKILL after 20 s), start it."""
        self.stop(name)
        deadline = time.monotonic() + RESTART_TRIES * RESTART_STEP_S
        step_s = FIRST_STEP_S
        while True:
            status = self.status(name)
            if status["pid"] == 0 and status["target"] == "Down":
                break
            if time.monotonic() > deadline:
                self.kill(name, "SIGKILL")
                break
            time.sleep(step_s)
            step_s = min(step_s * 1.5, RESTART_STEP_S)
        self.start(name)

    def monitor(self, name: str) -> None:
        """Load the service file of `name` and start it."""
        self.call("monitor", name)

    def forget(self, name: str) -> None:
        """Drop a service that is down."""
        self.call("forget", name)

    def kill(self, name: str, signal: str = "SIGTERM") -> None:
        """Send a signal to a service."""
        self.call("kill", name, signal)

    def shutdown(self) -> None:
        """Stop everything and power off (a container ends)."""
        self.call("shutdown")

    def reboot(self) -> None:
        """Stop everything and reboot."""
        self.call("reboot")

    def reload(self, name: str = "") -> object:
        """Follow the service folder (returns what was done), or let one service reload."""
        if name:
            return self.call("reload", name)
        return self.ask_mapping("reload", keys=RELOAD_KEYS)

    def analyze(self) -> "dict[str, object]":
        """Return when each service got where, for `zinit.client.analyze`."""
        return self.ask_mapping("analyze", keys=ANALYZE_KEYS)

    def log(self, follow: bool = False) -> "Iterator[str]":
        """Yield the log's lines without their newlines; with `follow`, wait for more."""
        command = "log" if follow else "log snapshot"
        rest = b""
        for data in self._exchange(command, None if follow else self.timeout_s):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
        if rest:
            yield rest.decode(errors="replace")

    def ask_mapping(self, *words: str, keys: "tuple[str, ...]" = ()) -> "dict[str, object]":
        """Send a command whose reply is a mapping with `keys` at least."""
        body = self.call(*words)
        if not isinstance(body, dict) or not all(key in body for key in keys):
            raise misunderstand(body)
        return body

    def call(self, *words: str) -> object:
        """Send a command; return the body of its reply or raise `ZinitError`."""
        import json

        line = " ".join(quote(word) for word in words)
        reply = b"".join(self._exchange(line, self.timeout_s))
        try:
            answer = json.loads(reply)
            state, body = answer["state"], answer["body"]
        except (ValueError, TypeError, KeyError):
            raise misunderstand(reply) from None
        if state != "ok":
            raise ZinitError(str(body))
        return body

    def _exchange(self, line: str, timeout_s: float | None) -> "Iterator[bytes]":
        """Send one line and yield what comes back until the daemon closes."""
        kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC
        door = _socket.socket(_socket.AF_UNIX, kind)
        try:
            door.settimeout(timeout_s)
            try:
                door.connect(self.path)
                door.sendall(line.encode(errors="surrogateescape") + b"\n")
                while data := door.recv(65536):
                    yield data
            except OSError as error:
                raise fail_to_talk(self.path, error) from None
        finally:
            door.close()


def misunderstand(answer: object) -> ZinitError:
    """Return the error for an answer that zinit does not give."""
    return ZinitError(
        f"cannot understand zinit's answer: {str(answer)[:80]}",
        hint="does another version, or another program, answer there?",
    )


def fail_to_talk(path: str, error: OSError) -> ZinitError:
    """Return the error for a daemon that can't be reached."""
    return ZinitError(
        f"cannot talk to zinit on {path}: {error.strerror or error}",
        hint="is it running? another socket is named with -s",
    )


def quote(word: str) -> str:
    """Return `word` so that the daemon reads it as one word."""
    if word and not any(char in word for char in " \t\n#'\"\\"):
        return word
    return "'" + word.replace("'", "'\"'\"'").replace("\n", " ") + "'"


def is_alive(path: str = DEFAULT_SOCKET) -> bool:
    """Tell whether a daemon answers on `path`."""
    if not os.path.exists(path):
        return False
    try:
        Client(path, 2.0).list()
    except ZinitError:
        return False
    return True
