"""Log files are written by a process of its own, so that a disk that hangs stalls nobody else.

One writer serves one folder: a hung disk holds up no log that lies elsewhere. It is forked when
the first line for its folder comes, gets packets over a socket (`SIZE KEEP PATH`, NUL, the lines),
tells its troubles over the same socket, and ends when that closes. What the socket does not take
is kept up to `QUEUE_BYTES`; then the services whose lines they are wait, for at most `STALL_S`
without any progress: after that their lines are dropped and counted until the writer takes one.
"""

import os
import time

from zinit.files.signals import SIGCHLD, SIGHUP, SIGINT, SIGTERM
from zinit.log.file import LogFile
from zinit.loop import READ, WRITE, is_ready
from zinit.process.spawn import close_all_but

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    import socket as _socket
    from collections.abc import Callable

    from zinit.loop import Loop
else:
    import _signal
    import _socket

RANK = 2
PACKET_LIMIT = 1 << 17
TEXT_LIMIT = 4096
QUEUE_BYTES = 1 << 19
STALL_S = 1.0
RETRY_S = 1.0
END_S = 2.0  # how long the end of zinit waits for the last lines
DEAF_TO = (SIGHUP, SIGINT, SIGTERM)  # it ends with its socket


class LogWriter:
    """Our side: never blocks."""

    def __init__(self, loop: "Loop", report: "Callable[[str], None]", folder: str) -> None:
        self.folder = folder
        self.waiting: set[int] = set()  # descriptors of services that are held up
        self.pid = 0
        self.dropped = 0  # lines, since the writer took one last
        self._loop = loop
        self._report = report
        self._door: _socket.socket | None = None
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._moved_at = 0.0  # when the writer took something last, or was to begin to
        self._retry_at = 0.0
        self._is_stalled = False

    def adopt(self, fd: int, pid: int, queue: list[bytes], dropped: int) -> None:
        """Go on with a writer of the program before this one."""
        self.dropped = dropped
        if fd >= 0:
            os.set_inheritable(fd, False)
            self._take(_socket.socket(fileno=fd), pid)
        self._send_again(queue)

    def dump(self) -> "tuple[int, int, list[str], int]":
        """Return what another program needs to go on: descriptor (or -1), pid, queue, dropped."""
        queue = [packet.decode("latin-1") for packet in self._queue]
        return self._door.fileno() if self._door else -1, self.pid, queue, self.dropped

    def write(self, header: bytes, lines: list[bytes]) -> None:
        """Let `lines` be appended to the file that `header` names."""
        if self._door is None and not self._start():
            self.dropped += len(lines)
            return
        packet = header + b"\0" + b"\n".join(lines)
        if (self._is_stalled or not self._put(packet)) and not self._queue_up(packet):
            self.dropped += len(lines)

    @property
    def is_full(self) -> bool:
        """Whether services should wait with their lines."""
        return self._queued_bytes > QUEUE_BYTES and not self._is_stalled

    def next_time(self) -> float | None:
        """Return when `turn` is wanted."""
        return self._moved_at + STALL_S if self._queue and not self._is_stalled else None

    def turn(self, now: float) -> None:
        """Give a writer up that has taken nothing for too long, until it does."""
        at = self.next_time()
        if at is not None and now >= at:
            self._is_stalled = True
            self._report(f"writing in {self.folder} hangs; log lines are lost until it goes on")
            self._let_go_on()

    def finish(self, until: float) -> None:
        """Hand over what is left and wait for the writer's end, until a time at the most."""
        if self._door is None:
            return
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError:
            pidfd = -1
        self._loop.forget(self._door.fileno())
        try:
            for packet in self._queue:
                self._door.settimeout(max(until - time.monotonic(), 0.001))
                self._door.send(packet)
        except OSError:
            pass
        self._door.close()
        self._door = None
        if pidfd >= 0:
            if not is_ready(pidfd, until - time.monotonic()):
                self._report(f"the last lines for {self.folder} are not written: it hangs")
            os.close(pidfd)

    def _start(self) -> bool:
        now = time.monotonic()
        if now < self._retry_at:
            return False
        self._retry_at = now + RETRY_S
        try:
            ours, pid = fork_writer()
        except (OSError, MemoryError) as error:
            self._report(f"cannot start what writes in {self.folder}: {error}")
            return False
        self._take(ours, pid)
        return True

    def _take(self, door: "_socket.socket", pid: int) -> None:
        door.setblocking(False)
        self._door, self.pid = door, pid
        self._moved_at = time.monotonic()
        self._loop.watch(door.fileno(), RANK, self._on_event)

    def _put(self, packet: bytes) -> bool:
        """Send a packet if nothing waits before it; return whether it is settled."""
        if self._door is None or self._queue:
            return False
        try:
            self._door.send(packet)
        except BlockingIOError:
            self._moved_at = time.monotonic()
            return False
        except OSError:
            return False  # it has ended: that is seen as an event
        return True

    def _queue_up(self, packet: bytes) -> bool:
        """Keep a packet for later, if there is room."""
        if self._door is None or self._queued_bytes > QUEUE_BYTES * 2 or self._is_stalled:
            return False
        if not self._queue:
            self._loop.want(self._door.fileno(), READ | WRITE)
        self._queue.append(packet)
        self._queued_bytes += len(packet)
        return True

    def _on_event(self, events: int) -> None:
        assert self._door is not None
        if events & ~WRITE:
            try:
                text = self._door.recv(TEXT_LIMIT)
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
        """Send what waits; go on with reading when all is sent."""
        assert self._door is not None
        sent = 0
        try:
            while sent < len(self._queue):
                self._door.send(self._queue[sent])
                sent += 1
        except OSError:
            pass
        if sent:
            self._moved_at = time.monotonic()
            self._is_stalled = False
            self._tell_dropped()
        self._queued_bytes -= sum(map(len, self._queue[:sent]))
        del self._queue[:sent]
        if not self._queue:
            self._loop.want(self._door.fileno(), READ)
            self._let_go_on()

    def _tell_dropped(self) -> None:
        if self.dropped:
            self._report(f"{self.dropped} lines were not written in {self.folder}")
            self.dropped = 0

    def _lose(self) -> None:
        """The writer has ended: the next line starts another."""
        assert self._door is not None
        self._loop.forget(self._door.fileno())
        self._door.close()
        self._door = None
        self._report(f"what writes in {self.folder} has ended")
        queue, self._queue, self._queued_bytes = self._queue, [], 0
        self._is_stalled = False
        if queue and self._start():
            self._send_again(queue)
        else:
            self.dropped += sum(packet.count(b"\n") + 1 for packet in queue)
        self._let_go_on()

    def _send_again(self, packets: list[bytes]) -> None:
        for packet in packets:
            if not self._put(packet):
                self._queue_up(packet)

    def _let_go_on(self) -> None:
        for fd in self.waiting:
            self._loop.want(fd, READ)
        self.waiting.clear()


def make_header(path: str, size_bytes: int, keep: int) -> bytes:
    """Return the beginning of the packets for one file."""
    return f"{size_bytes} {keep} {path}".encode()


# The writer's process


def fork_writer() -> "tuple[_socket.socket, int]":
    """Start a writer; return our end of its socket and its pid, or raise OSError."""
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, kind)
    try:
        pid = os.fork()
        if pid == 0:
            run_writer(theirs)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours, pid


def run_writer(door: "_socket.socket") -> None:
    """In the child: write what comes until nobody is left to send. Never returns."""
    try:
        become_writer(door.fileno())
        door.setblocking(True)
        write_packets(door)
    finally:
        os._exit(0)


def become_writer(fd: int) -> None:
    """Let go of everything that was PID 1's: its signals, its session, its descriptors."""
    _signal.set_wakeup_fd(-1)
    for number in DEAF_TO:
        _signal.signal(number, _signal.SIG_IGN)
    _signal.signal(SIGCHLD, _signal.SIG_DFL)
    os.setsid()
    close_all_but(fd)


def write_packets(door: "_socket.socket") -> None:
    """Append the lines of every packet to its file."""

    def report(text: str) -> None:
        try:
            door.send(text.encode(errors="replace")[:TEXT_LIMIT], _socket.MSG_DONTWAIT)
        except OSError:
            pass  # zinit has ended, or hears nothing now

    files: dict[bytes, LogFile] = {}  # path -> file
    while packet := door.recv(PACKET_LIMIT):
        header, _, text = packet.partition(b"\0")
        size, keep, path = header.split(b" ", 2)
        file = files.get(path)
        if file is None:
            file = files[path] = LogFile(os.fsdecode(path), 0, 0, report)
        file.size_bytes, file.keep = int(size), int(keep)
        file.write(text.split(b"\n"))
