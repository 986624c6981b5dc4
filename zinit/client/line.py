"""A client of a running zinit, over its control socket and the line protocol.

Like upstream's clients, it opens one connection per command.
"""

import time

from zinit.client import DEFAULT_SOCKET
from zinit.client.errors import TIMEOUT_S, NoAnswerError, collect, fail_to_talk, misunderstand
from zinit.client.errors import ZinitError as ZinitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Iterator
    from typing import Any
else:
    import _socket

SILENCE_S = 1.0  # after which to ask whether the daemon speaks this protocol at all
NO_RESTART = "unknown command 'restart'"  # how an older daemon's reply begins
RESTART_LIMIT_S = 20.0
RESTART_STEP_S = 1.0
FIRST_STEP_S = 0.02
STATUS_KEYS = ("name", "pid", "state", "target", "after")
RELOAD_KEYS = ("added", "changed", "restarted", "removed", "failed")
ANALYZE_KEYS = ("started", "now", "services")


class OtherProtocolError(Exception):
    """The daemon speaks JSON-RPC only (see `zinit.client.upstream`)."""


class Client:
    """Commands for the daemon that listens on `path`; all raise `ZinitError`."""

    def __init__(self, path: str = DEFAULT_SOCKET, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self.timeout_s = timeout_s
        self._is_rpc_only = False

    def list(self) -> dict[str, str]:
        """Return the state of every service, by name."""
        states = self.ask_mapping("list")
        return {name: str(state) for name, state in states.items()}

    def status(self, name: str) -> "dict[str, Any]":
        """Return name, pid, state, target and after (a mapping from name to state)."""
        return self.ask_mapping("status", name, keys=STATUS_KEYS)

    def reason(self, name: str) -> str:
        """Return why a service is not up, or why its file is not used; empty if all is well."""
        return str(self.call("reason", name))

    def check_name(self, name: str) -> None:
        """Refuse a name that belongs to no service and to no refused file."""
        try:
            self.status(name)
        except ZinitError as error:
            if not self.explain(name, error):
                raise

    def explain(self, name: str, error: ZinitError) -> str:
        """Return why the file of a name is refused that is unknown, as `error` says, or nothing."""
        if not error.message.endswith("unknown"):
            return ""
        try:
            return self.reason(name)
        except ZinitError:  # it has no file, or the daemon is an older one
            return ""

    def start(self, name: str) -> None:
        """Start a service as soon as its dependencies are met."""
        self.call("start", name)

    def stop(self, name: str) -> None:
        """Stop a service; returns before it is down."""
        self.call("stop", name)

    def restart(self, name: str) -> None:
        """Stop a service and start it; returns when its old process has ended.

        That can take as long as the service's `stop_timeout`, after which it is killed.
        """
        try:
            try:
                self.call("restart", name, is_patient=True)
            except NoAnswerError:  # zinit was re-executed; it still stops the service
                self.call("restart", name, is_patient=True)
        except ZinitError as error:
            if not error.message.startswith(NO_RESTART):
                raise
            self._restart_by_steps(name)

    def _restart_by_steps(self, name: str) -> None:
        """Restart a service of a daemon that has no `restart`: SIGKILL comes after 20 s."""
        self.stop(name)
        deadline = time.monotonic() + RESTART_LIMIT_S
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
        """Load the service file of `name` and start the service."""
        self.call("monitor", name)

    def forget(self, name: str) -> None:
        """Drop a service that is down."""
        self.call("forget", name)

    def kill(self, name: str, signal: str = "SIGTERM") -> None:
        """Send a signal to a service."""
        self.call("kill", name, signal)

    def shutdown(self) -> None:
        """Stop all services and power off; in a container, only zinit ends."""
        self.call("shutdown")

    def reboot(self) -> None:
        """Stop all services and reboot."""
        self.call("reboot")

    def reload(self) -> "dict[str, Any]":
        """Apply changed service files; return what was done (see `RELOAD_KEYS`)."""
        return self.ask_mapping("reload", keys=RELOAD_KEYS)

    def reload_service(self, name: str) -> None:
        """Make a service read its own configuration again."""
        self.call("reload", name)

    def analyze(self) -> "dict[str, Any]":
        """Return when each service reached each stage, for `zinit.client.analyze`."""
        return self.ask_mapping("analyze", keys=ANALYZE_KEYS)

    def log(self, follow: bool = False) -> "Iterator[str]":
        """Yield the log's lines without their newlines; with `follow`, wait for more."""
        try:
            yield from self._read_log(follow)
        except OtherProtocolError:
            from zinit.client.upstream import read_log

            yield from read_log(self.path, follow, self.timeout_s)

    def _read_log(self, follow: bool) -> "Iterator[str]":
        command = "log" if follow else "log snapshot"
        rest = b""
        for data in self._exchange(command, None if follow else self.timeout_s):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
        if rest:
            yield rest.decode(errors="replace")

    def follow_log(self, quiet_s: float) -> "Iterator[tuple[str, ...]]":
        """Yield the log's lines and then new ones as they come; nothing after each `quiet_s`
        without any. It ends when the daemon does."""
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(self.timeout_s)
            sock.connect(self.path)
            sock.sendall(b"log\n")
            yield from _read_batches(sock, quiet_s)
        except OSError as error:
            raise fail_to_talk(self.path, error) from None
        finally:
            sock.close()

    def ask_mapping(self, *words: str, keys: "tuple[str, ...]" = ()) -> "dict[str, Any]":
        """Send a command whose result is a mapping with at least `keys`."""
        body = self.call(*words)
        if not isinstance(body, dict) or not all(key in body for key in keys):
            raise misunderstand(body)
        return body

    def call(self, *words: str, is_patient: bool = False) -> object:
        """Send a command and return its result; `is_patient` means without a time limit."""
        import json

        line = " ".join(quote(word) for word in words)
        timeout_s = None if is_patient else self.timeout_s
        try:
            reply = collect(self._exchange(line, timeout_s), timeout_s)
        except OtherProtocolError:
            from zinit.client.upstream import run

            return run(self.path, words, self.timeout_s)
        if not reply:
            raise NoAnswerError("zinit closed the connection without an answer")
        try:
            answer = json.loads(reply)
            state, body = answer["state"], answer["body"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise misunderstand(reply) from None
        if state != "ok":
            raise ZinitError(str(body))
        return body

    def _exchange(self, line: str, timeout_s: float | None) -> "Iterator[bytes]":
        """Send one line and yield what the daemon sends until it closes the connection.

        Raises `OtherProtocolError` if the daemon is silent because it speaks JSON-RPC only.
        """
        if self._is_rpc_only:
            raise OtherProtocolError
        kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC
        sock = _socket.socket(_socket.AF_UNIX, kind)
        try:
            sock.settimeout(timeout_s)
            try:
                sock.connect(self.path)
                sock.sendall(line.encode(errors="surrogateescape") + b"\n")
                self._await_answer(sock, timeout_s)
                while data := sock.recv(65536):
                    yield data
            except OSError as error:
                raise fail_to_talk(self.path, error) from None
        finally:
            sock.close()

    def _await_answer(self, sock: "_socket.socket", timeout_s: float | None) -> None:
        """Wait a moment for the first byte; if there is none, ask whether there ever will be."""
        if timeout_s is not None and timeout_s <= SILENCE_S:
            return
        sock.settimeout(SILENCE_S)
        try:
            sock.recv(1, _socket.MSG_PEEK)
        except TimeoutError:
            from zinit.client.upstream import speaks_only_rpc

            self._is_rpc_only = speaks_only_rpc(self.path)
            if self._is_rpc_only:
                raise OtherProtocolError from None
        sock.settimeout(timeout_s)


def _read_batches(sock: "_socket.socket", quiet_s: float) -> "Iterator[tuple[str, ...]]":
    """Yield the lines that arrive together, and none after each silence."""
    sock.settimeout(quiet_s)
    rest = b""
    while True:
        try:
            data = sock.recv(65536)
        except TimeoutError:
            yield ()
            continue
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield tuple(line.decode(errors="replace") for line in lines)


def quote(word: str) -> str:
    """Return `word` quoted so that the daemon reads it as one word."""
    if word and not any(char in word for char in " \t\n#'\"\\"):
        return word
    return "'" + word.replace("'", "'\"'\"'").replace("\n", " ") + "'"
