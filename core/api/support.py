"""The support bundle: what somebody needs who helps a farmer, without secrets, as a tar.gz."""

import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

from common.ipc.errors import IpcError
from core.api.node import Node
from core.api.parameters import mask, mask_command_line, secrets_of

LOG_LINES = 2000
KERNEL_BYTES = 1 << 18
KERNEL_LOG = "/dev/kmsg"
CHUNK_BYTES = 1 << 16


class Pipe(io.RawIOBase):
    """What tarfile writes to; `take` returns it piece by piece."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Keep the data."""
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data, self._parts = b"".join(self._parts), []
        return data


def make_bundle(node: Node) -> Generator[bytes]:
    """Yield the archive. A part that can't be had is replaced by the reason."""
    command_line = node.command_line.read_text(errors="replace")
    secrets = secrets_of(command_line)
    pipe = Pipe()
    with tarfile.open(mode="w|gz", fileobj=pipe, bufsize=CHUNK_BYTES) as archive:
        for name, part in parts_of(node, command_line).items():
            text = mask(gather(part), secrets).encode(errors="replace")
            member = tarfile.TarInfo(f"support/{name}")
            member.size, member.mtime, member.mode = len(text), int(time.time()), 0o644
            archive.addfile(member, io.BytesIO(text))
            if data := pipe.take():
                yield data
    if data := pipe.take():
        yield data


def parts_of(node: Node, command_line: str) -> dict[str, Callable[[], Any]]:
    """Return the files of a bundle, each with what makes its text or its JSON."""
    logs = {"name": None, "follow": False, "lines": LOG_LINES}
    return {
        "status.json": lambda: node.door("status"),
        "identity.json": lambda: node.identity("describe"),
        "api.json": node.about,
        "services.json": lambda: node.door("services.list"),
        "capacity.json": lambda: node.capacity("facts"),
        "load.json": lambda: node.capacity("load"),
        "command-line.txt": lambda: mask_command_line(command_line),
        "services.log": lambda: show_log(node.door_stream("services.logs", **logs)),
        "audit.jsonl": lambda: "".join(f"{json.dumps(one)}\n" for one in node.audit.lines()),
        "kernel.log": read_kernel_log,
    }


def gather(part: Callable[[], Any]) -> str:
    """Return a part's text."""
    try:
        value = part()
    except (IpcError, OSError) as error:
        return f"not to be had: {error}\n"
    return value if isinstance(value, str) else json.dumps(value, indent=2) + "\n"


def show_log(rows: Iterable[Any]) -> str:
    """Return lines of services as text."""
    return "".join(f"{row.get('name')}: {row.get('text')}\n" for row in rows)


def read_kernel_log(path: str = KERNEL_LOG) -> str:
    """Return the kernel's last messages, if this user may read them. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    records: list[bytes] = []
    try:
        while record := os.read(handle, 8192):
            records.append(record.partition(b";")[2].partition(b"\n")[0] + b"\n")
    except BlockingIOError:
        pass
    except BrokenPipeError:
        records.append(b"(messages were lost)\n")
    finally:
        os.close(handle)
    return b"".join(records)[-KERNEL_BYTES:].decode(errors="replace")
