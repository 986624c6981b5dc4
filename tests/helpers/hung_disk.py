"""A FUSE file system that can be made to hang: requests are read but not answered.

The calling process then can't be killed: once its request was read, it waits in state D. Files can
be created and written; nothing else is implemented.
"""

import contextlib
import errno
import os
import stat
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from common.mounts import mount
from flist.mount.fuse import wire

SETATTR, WRITE, RELEASE, FLUSH, CREATE = 4, 16, 18, 25, 35
DIRECT_IO = 1
NOBODY_WAITS = (*wire.NO_REPLY, wire.INTERRUPT)


class HungDisk:
    """The mount and the thread that serves it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[int, bytearray] = {}  # node number -> content
        self.names: dict[bytes, int] = {}
        self.is_hanging = False
        self.held: list[tuple[int, int, int, bytes]] = []  # requests to be answered by `go_on`
        self._lock = threading.Lock()
        self._is_ready = threading.Event()
        self._handle = -1
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def open(self) -> None:
        """Mount it, and wait for the end of the FUSE handshake; only then can callers hang."""
        self._handle = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._handle},rootmode=40000,user_id=0,group_id=0,allow_other"
        mount("hung", self.path, "fuse.hung", 0, options)
        self._thread.start()
        assert self._is_ready.wait(60)

    def close(self) -> None:
        """Abort waiting requests and unmount."""
        subprocess.run(["umount", "-f", "-l", str(self.path)], check=False)  # -f aborts
        self._thread.join(10)
        os.close(self._handle)

    def hang(self) -> None:
        """Stop answering requests."""
        with self._lock:
            self.is_hanging = True

    def go_on(self) -> None:
        """Answer the waiting requests, and all later ones."""
        with self._lock:
            self.is_hanging = False
            for request in self.held:
                self._answer(*request)
            self.held.clear()

    def content(self, name: str) -> bytes:
        """Return the data written to a file."""
        with self._lock:
            number = self.names.get(name.encode())
            return bytes(self.files[number]) if number else b""

    def _serve(self) -> None:
        buffer = bytearray(1 << 18)
        while True:
            try:
                length = os.readv(self._handle, [buffer])
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                return
            request = wire.parse_request(memoryview(buffer)[:length])
            if request.opcode in NOBODY_WAITS:
                continue
            asked = (request.opcode, request.unique, request.nodeid, bytes(request.body))
            with self._lock:
                if self.is_hanging:
                    self.held.append(asked)
                else:
                    self._answer(*asked)

    def _answer(self, opcode: int, unique: int, node: int, body: bytes) -> None:
        try:
            data, code = self._reply(opcode, node, body), 0
        except OSError as error:
            data, code = b"", error.errno or errno.EIO
        head = wire.OUT_HEADER.pack(wire.OUT_HEADER.size + len(data), -code, unique)
        with contextlib.suppress(OSError):  # its caller was killed or gave up
            os.write(self._handle, head + data)
        if opcode == wire.INIT:
            self._is_ready.set()

    def _reply(self, opcode: int, node: int, body: bytes) -> bytes:
        if opcode == wire.INIT:
            return wire.init_reply(memoryview(body), 0)
        if opcode == wire.LOOKUP:
            number = self.names.get(body.rstrip(b"\0"))
            if number is None:
                raise OSError(errno.ENOENT, "no such file")
            return self._entry(number)
        if opcode in (wire.GETATTR, SETATTR):
            return struct.pack("<QII", 0, 0, 0) + self._attributes(node)
        if opcode == CREATE:
            number = self.names.setdefault(body[16:].rstrip(b"\0"), len(self.names) + 2)
            self.files.setdefault(number, bytearray())
            return self._entry(number) + struct.pack("<QII", 0, DIRECT_IO, 0)
        if opcode == wire.OPEN:
            return struct.pack("<QII", 0, DIRECT_IO, 0)
        if opcode == WRITE:
            (size,) = struct.unpack_from("<I", body, 16)
            self.files[node] += body[40 : 40 + size]
            return struct.pack("<II", size, 0)
        if opcode in (RELEASE, FLUSH):
            return b""
        raise OSError(errno.ENOSYS, "not here")

    def _entry(self, node: int) -> bytes:
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(node)

    def _attributes(self, node: int) -> bytes:
        size = len(self.files.get(node, b""))
        mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o644
        return struct.pack("<" + wire.ATTR, node, size, 0, *[0] * 6, mode, 1, 0, 0, 0, 4096, 0)


@contextlib.contextmanager
def hung_disk(path: Path) -> Iterator[HungDisk]:
    """Mount a disk on a new folder; at the end, waiting requests are aborted."""
    path.mkdir()
    disk = HungDisk(path)
    disk.open()
    try:
        yield disk
    finally:
        disk.close()
