"""Log files are written by separate processes, so that a disk that hangs blocks nothing else.

There is one writer process for each folder, forked when the first line for that folder arrives. It
receives packets over a socket (`SIZE KEEP PATH`, NUL, the lines; or without NUL and lines, to open
the file), reports errors over the same
socket, and ends when that is closed. Packets that the socket does not accept are queued, up to
`QUEUE_BYTES`; then the services wait. After `STALL_S` without progress their lines are dropped and
counted until the writer accepts a packet again.
"""

import os
import time

from zinit.log.writer_process import TEXT_LIMIT, fork_writer
from zinit.loop import READ, WRITE, is_ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Callable
    from typing import Any

    from zinit.loop import Loop
    from zinit.process.handover import HandOver
else:
    import _socket

RANK = 2
QUEUE_BYTES = 1 << 19
STALL_S = 1.0
RETRY_S = 1.0
END_S = 2.0  # how long a shutdown waits for the last lines


class LogWriter:
    """The daemon's side of a writer process; never blocks."""

    def __init__(self, loop: "Loop", report: "Callable[[str], None]", folder: str) -> None:
        self.folder = folder
        self.waiting: set[int] = set()  # descriptors that are not read until the queue is shorter
        self.pid = 0
        self.dropped = 0  # lines since the writer last accepted a packet
        self._loop = loop
        self._report = report
        self._socket: _socket.socket | None = None
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._moved_at = 0.0  # when the writer last accepted a packet or was started
        self._retry_at = 0.0
        self._is_stalled = False

    def dump(self, hand_over: "HandOver") -> "dict[str, object]":
        """Return the folder, the process with its socket (`fd`, or -1), and the queue."""
        return {
            "folder": self.folder,
            "fd": hand_over(self._socket.fileno()) if self._socket else -1,
            "pid": self.pid,
            "queue": [packet.decode("latin-1") for packet in self._queue],
            "dropped": self.dropped,
        }

    def restore(self, state: "dict[str, Any]") -> None:
        """Continue with the process and the queue that `dump` returned."""
        self.dropped = int(state["dropped"])
        fd = state["fd"]
        if fd >= 0:
            os.set_inheritable(fd, False)
            self._use(_socket.socket(fileno=fd), state["pid"])
        self._send_again([packet.encode("latin-1") for packet in state["queue"]])

    def write(self, header: bytes, lines: list[bytes]) -> None:
        """Send `lines` to be appended to the file that `header` names."""
        if self._socket is None and not self._start():
            self.dropped += len(lines)
            return
        packet = header + b"\0" + b"\n".join(lines)
        if (self._is_stalled or not self._put(packet)) and not self._queue_up(packet):
            self.dropped += len(lines)

    def open(self, header: bytes) -> None:
        """Open the file that `header` names, which is begun anew if it is gone."""
        if (self._socket is not None or self._start()) and not self._put(header):
            self._queue_up(header)

    @property
    def is_full(self) -> bool:
        """Whether services must wait before they can log more."""
        return self._queued_bytes > QUEUE_BYTES and not self._is_stalled

    def next_time(self) -> float | None:
        """Return when `turn` must be called."""
        return self._moved_at + STALL_S if self._queue and not self._is_stalled else None

    def turn(self, now: float) -> None:
        """Drop lines of a writer that has made no progress for `STALL_S`, until it makes some."""
        at = self.next_time()
        if at is not None and now >= at:
            self._is_stalled = True
            self._report(f"writing in {self.folder} hangs; log lines are lost until it continues")
            self._resume_services()

    def close(self) -> bool:
        """Let the process end when it has written everything; return False if lines are queued."""
        if self._queue:
            return False
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
        return True

    def finish(self, until: float) -> None:
        """Send the queue and wait for the process to end, but not longer than `until`."""
        if self._socket is None:
            return
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError:
            pidfd = -1
        self._loop.forget(self._socket.fileno())
        try:
            for packet in self._queue:
                self._socket.settimeout(max(until - time.monotonic(), 0.001))
                self._socket.send(packet)
        except OSError:
            pass
        self._socket.close()
        self._socket = None
        if pidfd >= 0:
            if not is_ready(pidfd, until - time.monotonic()):
                self._report(
                    f"the last log lines for {self.folder} were not written: the disk hangs"
                )
            os.close(pidfd)

    def _start(self) -> bool:
        now = time.monotonic()
        if now < self._retry_at:
            return False
        self._retry_at = now + RETRY_S
        try:
            ours, pid = fork_writer()
        except (OSError, MemoryError) as error:
            self._report(f"cannot start the log writer for {self.folder}: {error}")
            return False
        self._use(ours, pid)
        return True

    def _use(self, sock: "_socket.socket", pid: int) -> None:
        sock.setblocking(False)
        self._socket, self.pid = sock, pid
        self._moved_at = time.monotonic()
        self._loop.watch(sock.fileno(), RANK, self._on_event)

    def _put(self, packet: bytes) -> bool:
        """Send a packet unless others are queued; return whether it was sent."""
        if self._socket is None or self._queue:
            return False
        try:
            self._socket.send(packet)
        except BlockingIOError:
            self._moved_at = time.monotonic()
            return False
        except OSError:
            return False  # the process has ended, which the loop will notice
        return True

    def _queue_up(self, packet: bytes) -> bool:
        """Queue a packet; return False if there is no room."""
        if self._socket is None or self._queued_bytes > QUEUE_BYTES * 2 or self._is_stalled:
            return False
        if not self._queue:
            self._loop.want(self._socket.fileno(), READ | WRITE)
        self._queue.append(packet)
        self._queued_bytes += len(packet)
        return True

    def _on_event(self, events: int) -> None:
        assert self._socket is not None
        if events & ~WRITE:
            try:
                text = self._socket.recv(TEXT_LIMIT)
            except BlockingIOError:
                text = b" "
            except OSError:
                text = b""
            if not text:
                self._lose()
                return
            if text.strip():
                self._report(text.decode(errors="replace"))
        if events & WRITE:
            self._flush()

    def _flush(self) -> None:
        """Send the queue; resume the services when it is empty."""
        assert self._socket is not None
        sent = 0
        try:
            while sent < len(self._queue):
                self._socket.send(self._queue[sent])
                sent += 1
        except OSError:
            pass
        if sent:
            self._moved_at = time.monotonic()
            self._is_stalled = False
            self._report_dropped()
        self._queued_bytes -= sum(map(len, self._queue[:sent]))
        del self._queue[:sent]
        if not self._queue:
            self._loop.want(self._socket.fileno(), READ)
            self._resume_services()

    def _report_dropped(self) -> None:
        if self.dropped:
            self._report(f"{self.dropped} lines were not written in {self.folder}")
            self.dropped = 0

    def _lose(self) -> None:
        """Handle the end of the process: start another for the queue or the next line."""
        assert self._socket is not None
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self._report(f"the log writer for {self.folder} has ended")
        queue, self._queue, self._queued_bytes = self._queue, [], 0
        self._is_stalled = False
        if queue and self._start():
            self._send_again(queue)
        else:
            self.dropped += sum(packet.count(b"\n") + 1 for packet in queue if b"\0" in packet)
        self._resume_services()

    def _send_again(self, packets: list[bytes]) -> None:
        for packet in packets:
            if not self._put(packet):
                self._queue_up(packet)

    def _resume_services(self) -> None:
        for fd in self.waiting:
            self._loop.want(fd, READ)
        self.waiting.clear()


def make_header(path: str, size_bytes: int, keep: int) -> bytes:
    """Return the header of packets for one file."""
    return f"{size_bytes} {keep} {path}".encode()
