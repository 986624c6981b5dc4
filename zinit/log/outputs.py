"""What services print: from their pipes into the ring, and to the console or a file as wanted."""

import os
import time

from zinit.log.ring import LineCutter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.files.service import Service
    from zinit.log.ring import Ring
    from zinit.log.writer import LogWriter
    from zinit.loop import Loop

READ_SIZE = 16384
READS_AT_END = 64  # what a pipe holds, usually, in parts of any size
RANK = 2
START_MARK = b"------------ [start] ------------"
STDOUT = b"[+]"
STDERR = b"[-]"


class Stream:
    """One pipe."""

    __slots__ = ("cutter", "fd", "file", "label", "mark", "service", "to_console", "writer")

    def __init__(self, fd: int, mark: bytes, label: str, service: str) -> None:
        self.fd = fd
        self.mark = mark
        self.label = label
        self.service = service
        self.cutter = LineCutter()
        self.to_console = False
        self.writer: LogWriter | None = None  # where its lines go, to the file that `file` names
        self.file = b""

    @property
    def prefix(self) -> bytes:
        """What its lines begin with."""
        return self.mark + b" " + self.label.encode() + b": "


class Outputs:
    """Reads the pipes of all services."""

    def __init__(
        self,
        loop: "Loop",
        ring: "Ring",
        console: "Callable[[bytes], None]",
        report: "Callable[[str], None]",
    ) -> None:
        self.streams: dict[int, Stream] = {}
        self._loop = loop
        self._ring = ring
        self._console = console
        self._report = report
        self.writers: dict[str, LogWriter] = {}  # folder -> what writes the log files in it

    def mark_start(self, label: str) -> None:
        """Note in the ring that `label` starts."""
        self._ring.append(STDERR + b" " + label.encode() + b": " + START_MARK)

    def attach(
        self, fd: int, mark: bytes, label: str, name: str, service: "Service | None"
    ) -> Stream:
        """Read `fd`, of the service `name`, until its end; takes the descriptor over."""
        os.set_blocking(fd, False)
        stream = Stream(fd, mark, label, name)
        stream.to_console = service is not None and service.log == "console"
        if service is not None and service.log == "file":
            self._give_file(stream, service)
        self._loop.watch(fd, RANK, lambda _: self._read(stream))
        self.streams[fd] = stream
        return stream

    def flush(self) -> None:
        """Read what is in the pipes now (before everything ends)."""
        for stream in list(self.streams.values()):
            for _ in range(READS_AT_END):
                if not self._read(stream):
                    break

    def next_time(self) -> float | None:
        """Return when `turn` is wanted."""
        if not self.writers:
            return None
        times = [writer.next_time() for writer in self.writers.values()]
        return min((at for at in times if at is not None), default=None)

    def turn(self, now: float) -> None:
        """Look after writers that hang."""
        for writer in self.writers.values():
            writer.turn(now)

    def finish(self) -> None:
        """Read what is in the pipes and let it be written, for a bounded time."""
        self.flush()
        if self.writers:
            from zinit.log.writer import END_S

            until = time.monotonic() + END_S
            for writer in self.writers.values():
                writer.finish(until)

    def find_writer(self, folder: str) -> "LogWriter":
        """Return what writes the log files in `folder`."""
        writer = self.writers.get(folder)
        if writer is None:
            from zinit.log.writer import LogWriter

            writer = self.writers[folder] = LogWriter(self._loop, self._report, folder)
        return writer

    def _give_file(self, stream: Stream, service: "Service") -> None:
        from zinit.log.writer import make_header

        path = service.log_file
        stream.writer = self.find_writer(os.path.dirname(path))
        stream.file = make_header(path, service.log_size_bytes, service.log_keep)

    def _write(self, stream: Stream, writer: "LogWriter", lines: list[bytes]) -> None:
        """Give lines to the writer; while that is full, the service waits."""
        writer.write(stream.file, lines)
        if writer.is_full:
            writer.waiting.add(stream.fd)
            self._loop.want(stream.fd, 0)

    def _read(self, stream: Stream) -> bool:
        """Take what is there, up to a limit; return whether there may be more."""
        try:
            data = os.read(stream.fd, READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        lines = stream.cutter.feed(data) if data else stream.cutter.flush()
        prefix = stream.prefix
        surplus = len(lines) - self._ring.capacity
        if surplus > 0:
            self._ring.skip(surplus)
        for line in lines[max(surplus, 0) :]:
            self._ring.append(prefix + line)
        if stream.to_console and lines:
            self._console(b"".join(prefix + line + b"\n" for line in lines))
        if stream.writer is not None and lines:
            self._write(stream, stream.writer, lines)
        if not data:
            if stream.writer is not None:
                stream.writer.waiting.discard(stream.fd)
            self._loop.forget(stream.fd)
            os.close(stream.fd)
            del self.streams[stream.fd]
        return bool(data)
