"""A real S3 server: OpenStack Swift from Debian's `python3-swift`, see `swift_stack.py`."""

import contextlib
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.flist.mount import end, free_port
from tests.helpers.flist.servers import is_open
from tests.helpers.needs import lack
from tests.helpers.waiting import wait_until

PYTHON = "/usr/bin/python3"  # Debian's own, which finds Debian's Swift
STACK = Path(__file__).with_name("swift_stack.py")
START_WITHIN_S = 180
ANSWER_WITHIN_S = 60
OWNER = {"X-Storage-User": "farm:hub", "X-Storage-Pass": "hub+secret/1"}


class S3Server:
    """Swift with its data in a folder, at the same port whenever it is started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the server, and return when it answers."""
        with open(self.folder / "log", "a") as log:
            call = [PYTHON, "-I", str(STACK), str(self.folder), str(self.port)]
            process = self.process = subprocess.Popen(call, stdout=log, stderr=log, text=True)
        wait_until(
            lambda: is_open(self.port) or process.poll() is not None, "Swift", START_WITHIN_S
        )
        if process.poll() is not None:
            pytest.fail(f"Swift ended: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop the server; its data stays in the folder."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            end(self.process)
            self.process = None

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Accept connections, but answer nothing during the `with` block."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def make_bucket(self, name: str) -> None:
        """Make a bucket through Swift's own protocol, not through S3."""
        self.ask("PUT", name)

    def list_bucket(self, name: str) -> list[str]:
        """Return the names of the objects, through Swift's own protocol."""
        return self.ask("GET", name).split()

    def ask(self, method: str, path: str) -> str:
        """Return the answer to a request in Swift's own protocol."""
        base = f"http://127.0.0.1:{self.port}"
        login = urllib.request.Request(f"{base}/auth/v1.0", headers=OWNER)
        with urllib.request.urlopen(login, timeout=ANSWER_WITHIN_S) as answer:
            token = {"X-Auth-Token": answer.headers["X-Auth-Token"]}
        url = f"{base}/v1/AUTH_farm/{path}"
        request = urllib.request.Request(url, headers=token, method=method)
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:
            return bytes(answer.read()).decode()

    def url(
        self,
        bucket: str,
        *,
        key: str = "farm%3Ahub",
        secret: str = "hub%2Bsecret%2F1",
        region: str = "here",
    ) -> str:
        """Return the URL of a store."""
        return f"s3://{key}:{secret}@127.0.0.1:{self.port}/{bucket}?region={region}"


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run Swift with its data in `folder` for the `with` block."""
    found = subprocess.run(
        [PYTHON, "-I", "-c", "import swift.common.middleware.s3api"],
        capture_output=True,
        check=False,
    )
    if found.returncode != 0:
        lack("python3-swift is not installed")
    server = S3Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
