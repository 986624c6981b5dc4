"""The guest's part of the test driver: answers requests on a virtio-serial port.

One file that needs only the standard library. Tests put it on the guest; no release contains it.
Wire format, in both directions: one JSON object per line. A request has `id` and `do`, its reply
the same `id` and either `value` or `error`. When it starts, the agent sends {"hello": 1}. Bytes
are encoded as base64.
"""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

PORT_NAME = "org.zero-os.agent"
PORTS = Path("/sys/class/virtio-ports")
FIND_DEADLINE_S = 120.0
RETRY_S = 0.1
CONNECT_DEADLINE_S = 2.0
MAX_OUTPUT = 8 << 20


def main() -> int:
    """Find the port and serve it for as long as the machine runs."""
    path = find_port(PORTS, FIND_DEADLINE_S)
    if path is None:
        sys.stderr.write(f"agent: no port {PORT_NAME} below {PORTS}\n")
        return 1
    with open(path, "r+b", buffering=0) as port:
        serve(port, port, PORTS.exists)
    return 0


def find_port(base: Path, timeout_s: float) -> Path | None:
    """Wait for the driver to create our port; return its device."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for name in base.glob("*/name"):
            with contextlib.suppress(OSError):
                if name.read_text().strip() == PORT_NAME:
                    return device_of(name.parent)
        time.sleep(RETRY_S)
    return None


def device_of(folder: Path) -> Path:
    """Return the device node of a port's /sys folder, creating it if necessary."""
    path = Path("/dev", folder.name)
    if not path.exists():
        major, minor = (folder / "dev").read_text().split(":")
        os.mknod(path, 0o20600, os.makedev(int(major), int(minor)))
    return path


def serve(requests: BinaryIO, replies: BinaryIO, is_kept: Callable[[], bool]) -> None:
    """Answer every request; at end of file, go on for as long as `is_kept` returns true."""
    send(replies, {"hello": 1})
    rest = b""
    while True:
        data = requests.read(65536)
        if not data:
            if not is_kept():
                return
            time.sleep(RETRY_S)
            continue
        *lines, rest = (rest + data).split(b"\n")
        for line in filter(None, lines):
            send(replies, answer(line))


def send(replies: BinaryIO, message: dict[str, Any]) -> None:
    """Write one line; a raw file may accept only part of it at a time."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[replies.write(data) or 0 :]


def answer(line: bytes) -> dict[str, Any]:
    """Return the reply to one request; no request can end the agent."""
    number = None
    try:
        request = json.loads(line)
        number = request["id"]
        return {"id": number, "value": ACTIONS[request["do"]](request)}
    except Exception as error:
        return {"id": number, "error": f"{type(error).__name__}: {error}"}


def ping(request: dict[str, Any]) -> str:
    """Show that the agent runs."""
    del request
    return "pong"


def execute(request: dict[str, Any]) -> dict[str, Any]:
    """Run `argv` with `stdin`; after `timeout_s`, kill its whole process group."""
    process = subprocess.Popen(
        request["argv"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    timed_out = False
    try:
        out, err = process.communicate(
            base64.b64decode(request.get("stdin", "")), timeout=request["timeout_s"]
        )
    except subprocess.TimeoutExpired:
        timed_out = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    return {
        "status": process.returncode,
        "stdout": base64.b64encode(out[-MAX_OUTPUT:]).decode(),
        "stderr": base64.b64encode(err[-MAX_OUTPUT:]).decode(),
        "timed_out": timed_out,
    }


def run_python(request: dict[str, Any]) -> dict[str, Any]:
    """Run `source` in a new Python process."""
    return execute({**request, "argv": [sys.executable or "python3", "-c", request["source"]]})


def is_port_open(request: dict[str, Any]) -> bool:
    """Return whether `host`:`port` accepts connections."""
    try:
        address = (request["host"], request["port"])
        socket.create_connection(address, CONNECT_DEADLINE_S).close()
    except OSError:
        return False
    return True


def has_file(request: dict[str, Any]) -> bool:
    """Return whether `path` exists."""
    return Path(request["path"]).exists()


def read_file(request: dict[str, Any]) -> str:
    """Return the first `MAX_OUTPUT` bytes of the file `path`."""
    with open(request["path"], "rb") as file:
        return base64.b64encode(file.read(MAX_OUTPUT)).decode()


def write_file(request: dict[str, Any]) -> None:
    """Replace the content of `path` by `data`."""
    with open(request["path"], "wb") as file:
        file.write(base64.b64decode(request["data"]))


ACTIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "ping": ping,
    "execute": execute,
    "python": run_python,
    "port": is_port_open,
    "exists": has_file,
    "read": read_file,
    "write": write_file,
}


if __name__ == "__main__":
    sys.exit(main())
