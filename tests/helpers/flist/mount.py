"""Mounts and hubs in processes of their own, which end also when a test fails."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.needs import need_fuse

UP_WITHIN_S = 90.0
END_WITHIN_S = 60.0
DAEMON_WITHIN_S = 90.0
FIRST_PORT = 10_000
PORTS_FOR_ALL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def rfs(
    *words: str | Path, check: bool = True, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run `rfs WORDS`."""
    return run_call([sys.executable, "-m", "zero_os", "flist", *words], check, timeout_s)


def rfs_daemon(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `rfs mount --daemon WORDS` with `DAEMON_WITHIN_S` to be up: the 4 s that users get can be
    too short on a busy machine."""
    code = "import sys; from flist import cli; from flist.mount import background;"
    code += "from common.errors import run_command;"
    code += f"background.UP_WITHIN_S = {DAEMON_WITHIN_S};"
    code += "sys.exit(run_command(lambda argv: cli.main(argv, 'rfs'), sys.argv[1:], 'rfs'))"
    return run_call([sys.executable, "-c", code, "mount", "--daemon", *words], check)


def run_call(
    words: Sequence[str | Path], check: bool, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run a command with the tests' cache in place of the user's."""
    call = list(map(str, words))
    own = {"ZOS_CACHE": str(Path(tempfile.gettempdir(), f"zos-test-cache-{os.getuid()}"))}
    done = subprocess.run(
        call, capture_output=True, text=True, timeout=timeout_s, check=False,
        env={**own, **os.environ},
    )  # fmt: skip
    if check and done.returncode != 0:
        pytest.fail(f"{call} gave {done.returncode}: {done.stdout}{done.stderr}")
    return done


class Mounted(NamedTuple):
    """A mount that is up."""

    path: Path
    process: subprocess.Popen[str]


@contextlib.contextmanager
def mounted(meta: Path | str, target: Path, *words: str | Path) -> Iterator[Mounted]:
    """Mount `meta` on `target` for the block, which begins when the mount has reported that it is
    up."""
    need_fuse()
    target.mkdir(parents=True, exist_ok=True)
    address = f"\0flist-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(UP_WITHIN_S)
        call = [sys.executable, "-m", "zero_os", "flist", "mount", "-m", meta, *words, target]
        process = subprocess.Popen(
            list(map(str, call)), stderr=subprocess.PIPE, text=True,
            env={**os.environ, "NOTIFY_SOCKET": "@" + address[1:]},
        )  # fmt: skip
        with process:
            try:
                wait_ready(sock, process)
                yield Mounted(target, process)
            finally:
                end(process)
                subprocess.run(["umount", "-l", target], capture_output=True, check=False)


def wait_ready(sock: socket.socket, process: subprocess.Popen[str]) -> None:
    """Wait for READY=1, or fail with the stderr of the process."""
    deadline = time.monotonic() + UP_WITHIN_S
    sock.settimeout(0.2)
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            assert sock.recv(100) == b"READY=1"
            return
        if process.poll() is not None:
            assert process.stderr is not None
            pytest.fail(f"the mount ended with {process.returncode}: {process.stderr.read()}")
    pytest.fail("the mount was not ready in time")


def end(process: subprocess.Popen[str]) -> None:
    """End a process with SIGTERM, or with SIGKILL if it does not end."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Hub(NamedTuple):
    """A running hub."""

    url: str
    process: subprocess.Popen[str]


@contextlib.contextmanager
def serving(root: Path, listen: str = "127.0.0.1:0", *words: str | Path) -> Iterator[Hub]:
    """Serve the hub folder `root` for the block."""
    call = [sys.executable, "-m", "zero_os", "hub", "serve", str(root), "--listen", listen]
    call += map(str, words)
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url.startswith("http://"):
                assert process.stderr is not None
                end(process)
                pytest.fail(f"the hub did not start: {url} {process.stderr.read()}")
            yield Hub(url.rstrip("/"), process)
        finally:
            end(process)


def free_port() -> int:
    """Return an unused TCP port of the loopback outside the kernel's range of ephemeral ports. It
    stays free, also while nothing listens on it."""
    ports = range(FIRST_PORT, int(PORTS_FOR_ALL.read_text().split()[0]))
    for port in random.sample(ports, len(ports)):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    pytest.fail("no port is free")


def read_lines(words: Sequence[str]) -> list[str]:
    """Return the lines that a command prints."""
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout.splitlines()
