"""A block server that misbehaves on demand, trees of many files, and checks of what a killed
command leaves."""

import contextlib
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from flist.blocks.codec import digest
from flist.model import MAX_BLOCK_BYTES
from tests.helpers.flist.mount import rfs

ORPHANS_END_WITHIN_S = 120
"""Workers whose parent was killed keep its stderr open until they notice and end."""


class FaultyServer(ThreadingHTTPServer):
    """Serves a folder of blocks with a `fault`, for `faults_left` more requests (-1: for all)."""

    daemon_threads = True
    request_queue_size = 128  # connections that a busy machine has not accepted yet

    def __init__(self, blocks: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blocks = blocks
        self.fault = "none"
        self.faults_left = -1
        self.asked = 0
        self.clients: set[object] = set()
        self.released = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The store's URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def break_with(self, fault: str, times: int = -1) -> None:
        """Set the fault of the next `times` requests (-1: of all)."""
        with self.lock:
            self.fault, self.faults_left = fault, times

    def next_fault(self) -> str:
        """Return the fault of the next request."""
        with self.lock:
            self.asked += 1
            if self.faults_left == 0:
                return "none"
            self.faults_left -= 1
            return self.fault

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: tests let clients disconnect."""


class Handler(BaseHTTPRequestHandler):
    """Answers one client."""

    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def do_HEAD(self) -> None:
        """Answer whether a block exists."""
        path = self.server.blocks / self.path.lstrip("/")
        self.answer(200 if path.is_file() else 404, b"")

    def do_GET(self) -> None:
        """Answer with a block, or with a fault."""
        self.server.clients.add(self.client_address)
        path = self.server.blocks / self.path.lstrip("/")
        if not path.is_file():
            self.answer(404, b"")
            return
        data = path.read_bytes()
        fault = self.server.next_fault()
        if fault.isdigit():
            self.answer(int(fault), b"no")
        elif fault == "stall":
            self.server.released.wait()
            self.close_connection = True
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
        elif fault == "truncate":
            self.answer(200, data[: len(data) // 2], len(data))
            self.close_connection = True
        else:
            self.answer(200, self.damage(fault, path, data))

    def damage(self, fault: str, path: Path, data: bytes) -> bytes:
        """Return the wrong bytes that a fault stands for."""
        if fault == "flip":
            return data[:-1] + bytes([data[-1] ^ 1])
        if fault == "short":  # the header has the length of the short data
            return data[:-7]
        if fault == "empty":
            return b""
        if fault == "swap":
            others = (p for p in sorted(self.server.blocks.glob("*/*")) if p.name != path.name)
            return next(others).read_bytes()
        if fault == "oversize":
            return data + bytes(2 * MAX_BLOCK_BYTES)
        assert fault == "none"
        return data

    def answer(self, status: int, body: bytes, length: int | None = None) -> None:
        """Send a response; `length` replaces the true Content-Length."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def faulty_server(blocks: Path) -> Iterator[FaultyServer]:
    """Serve `blocks` for the block."""
    server = FaultyServer(blocks)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


def make_many_files(root: Path, count: int = 400, size: int = 30_000) -> Path:
    """Make a tree of many different files with long names that differ only at the end."""
    for number in range(count):
        folder = root / f"folder-{number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        seed = hashlib.shake_256(b"%d" % number).digest(size // 2 + number)
        (folder / f"{'n' * 220}-{number}").write_bytes(seed * 2)
    (root / "large").write_bytes(hashlib.shake_256(b"large").digest(3 << 20))
    (root / "link").symlink_to("large")
    return root


def pack_into(folder: Path, tree: Path) -> Path:
    """Pack `tree` as FOLDER/a.fl, with its blocks in FOLDER/blocks; return the flist."""
    rfs("pack", "-m", folder / "a.fl", "-s", f"dir://{folder}/blocks", tree)
    return folder / "a.fl"


def start_rfs(*words: str | Path) -> subprocess.Popen[str]:
    """Start `rfs WORDS` in a process group of its own."""
    call = [sys.executable, "-m", "zero_os", "flist", *map(str, words)]
    return subprocess.Popen(call, stderr=subprocess.PIPE, text=True, start_new_session=True)


def kill_after(delay_s: float, *words: str | Path, is_group: bool) -> bool:
    """Start `rfs WORDS` and SIGKILL it, alone or with its workers; return whether it still ran."""
    with start_rfs(*words) as process:
        deadline = time.monotonic() + delay_s
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
            was_running = False
        except subprocess.TimeoutExpired:
            was_running = True
        with contextlib.suppress(ProcessLookupError):
            if is_group:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.communicate(timeout=ORPHANS_END_WITHIN_S)
    return was_running


def check_blocks(folder: Path) -> int:
    """Check that every file named like a block holds it; return how many there are."""
    names = [path for path in folder.glob("*/*") if not path.name.startswith(".")]
    for path in names:
        assert digest(path.read_bytes()).hex() == path.name, f"{path} has wrong bytes"
    return len(names)


def file_hashes(root: Path) -> dict[str, str]:
    """Return the hash of every regular file below `root`, by path; raises `OSError`."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                digest_now = hashlib.file_digest(stream, "sha256").hexdigest()
            found[str(path.relative_to(root))] = digest_now
    return found
