"""A zdb server as a process of its own, and a client that sends and reads plain bytes."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.helpers.waiting import wait_until

SERVE = (sys.executable, "-m", "zero_os", "zdb", "serve")
REPLICATE = (sys.executable, "-m", "zero_os", "zdb", "replicate")
UPSTREAM = (sys.executable, "-m", "zdb.upstream")
URL = re.compile(r"(?:redis|rediss|unix)://\S+")
WAIT_S = 60.0


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    urls: list[str]
    process: subprocess.Popen[str]
    log: Path

    @property
    def port(self) -> int:
        """Return the port of the first address."""
        port = urlsplit(self.urls[0]).port
        assert port
        return port

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)


@contextlib.contextmanager
def serving(
    folder: Path, *words: str | Path, call: Sequence[str] = SERVE, count: int = 1, **env: str
) -> Iterator[Served]:
    """Run a server on a free port of 127.0.0.1; `count` addresses are waited for."""
    log = folder / "zdb.log"
    is_own = call in (SERVE, REPLICATE)
    place: list[str | Path] = ["--listen", "127.0.0.1:0"] if is_own else ["--port", "0"]
    if is_own and "--disk" not in words and "--data" not in words:
        place += ["--disk", folder / "disk"]
    with open(log, "a") as stream:
        stream.seek(0, os.SEEK_END)
        start = stream.tell()
        process = subprocess.Popen(
            [*call, *map(str, place), *map(str, words)],
            stdout=stream,
            stderr=stream,
            text=True,
            env={**os.environ, **env},
            cwd=folder,
        )

    def find() -> list[str]:
        text = log.read_text()[start:]
        assert process.poll() is None, f"the server ended: {text}"
        found = URL.findall(text)
        return found if len(found) >= count else []

    with process:
        try:
            yield Served(wait_until(find, "the server's addresses"), process, log)
        finally:
            process.terminate()
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def pack(*words: bytes | str) -> bytes:
    """Return a request."""
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    body = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%b" % (len(parts), body)


class Raw:
    """A client without a parser to speak of."""

    def __init__(self, port: int | str) -> None:
        if isinstance(port, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(port)
        else:
            self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(WAIT_S)
        self.rest = b""

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def ask(self, *words: bytes | str) -> Any:
        """Send a request and return its reply."""
        self.send(pack(*words))
        return self.reply()

    def more(self) -> None:
        """Read; raise `EOFError` if the server has closed."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError
        self.rest += data

    def line(self) -> bytes:
        """Return one line."""
        while b"\r\n" not in self.rest:
            self.more()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line

    def reply(self) -> Any:
        """Return one reply: status lines and errors as they are, bulks as bytes in a tuple."""
        line = self.line()
        if line[:1] == b"*":
            return [self.reply() for _ in range(int(line[1:]))]
        if line[:1] != b"$":
            return line.decode()
        size = int(line[1:])
        if size < 0:
            return None
        while len(self.rest) < size + 2:
            self.more()
        data, self.rest = self.rest[:size], self.rest[size + 2 :]
        return data

    def drain(self) -> None:
        """Read until the server closes."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                self.more()

    def is_closed(self) -> bool:
        """Return whether the server closes the connection without another word."""
        try:
            return self.rest == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def ask(port: int | str, *words: bytes | str) -> Any:
    """Send one request on a connection of its own and return its reply."""
    with Raw(port) as client:
        return client.ask(*words)
