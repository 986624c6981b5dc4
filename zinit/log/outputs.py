"""Reads the output of services from their pipes into the ring, and to the console or a file."""

import os
import time

from zinit.log.ring import LINE_LIMIT, LineCutter
from zinit.loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zinit.files.service import Service
    from zinit.log.ring import Ring
    from zinit.log.writer import LogWriter
    from zinit.loop import Loop
    from zinit.process.handover import HandOver

READ_SIZE = 16384
READS_AT_END = 64  # enough for a full pipe of the usual size, whatever the size of each write
RANK = 2
START_MARK = b"------------ [start] ------------"
NOTE_MARK = "------------"  # as in the mark of a start, so that it reads as zinit's line
STDOUT, STDERR = 1, 2
MARKS = {STDOUT: b"[+]", STDERR: b"[-]"}


class Stream:
    """One pipe: the stdout or stderr of a process."""

    __slots__ = ("cutter", "fd", "file", "label", "number", "service", "to_console", "writer")

    def __init__(self, fd: int, number: int, label: str, service: str) -> None:
        self.fd = fd
        self.number = number
        self.label = label
        self.service = service
        self.cutter = LineCutter()
        self.to_console = False
        self.writer: LogWriter | None = None  # appends its lines to the file that `file` names
        self.file = b""

    @property
    def prefix(self) -> bytes:
        """The beginning of its lines in the log."""
        return MARKS[self.number] + b" " + self.label.encode() + b": "

    def dump(self, hand_over: "HandOver") -> "dict[str, object]":
        """Return everything that `Outputs.restore` needs, the incomplete line included."""
        return {
            "fd": hand_over(self.fd),
            "number": self.number,
            "label": self.label,
            "service": self.service,
            "rest": self.cutter.rest.decode("latin-1"),
        }


class Outputs:
    """Reads the pipes of all services."""

    def __init__(
        self,
        loop: "Loop",
        ring: "Ring",
        console: "Callable[[bytes], None]",
        report: "Callable[[str], None]",
    ) -> None:
        self._loop = loop
        self._ring = ring
        self._console = console
        self._report = report
        self._streams: dict[int, Stream] = {}
        self._numbers: dict[tuple[str, int], int] = {}  # label and number -> its descriptor
        self._counts: dict[str, int] = {}  # service -> its number of pipes
        self._writers: dict[str, LogWriter] = {}  # by the folder of their log files
        self._forgotten: set[str] = set()  # services that still have pipes
        self._has_unused = False  # there may be writers that no pipe uses

    def mark_start(self, label: str) -> None:
        """Note in the ring that `label` starts."""
        self._ring.append(MARKS[STDERR] + b" " + label.encode() + b": " + START_MARK)

    def note(self, label: str, text: str) -> None:
        """Add a line of zinit to the log of `label`."""
        line = MARKS[STDERR] + f" {label}: {NOTE_MARK} {text}".encode(errors="replace")
        self._ring.append(line[:LINE_LIMIT])

    def attach(
        self, fd: int, number: int, label: str, name: str, service: "Service | None"
    ) -> Stream:
        """Read `fd`, stdout (1) or stderr (2) of the service `name`, to its end and close it.

        `fd` may be read already, for an earlier process with the same label (see `reader_of`).
        """
        stream = self._streams.get(fd)
        if stream is None:
            os.set_blocking(fd, False)
            stream = Stream(fd, number, label, name)
            self._loop.watch(fd, RANK, lambda _: self._read(stream))
            self._streams[fd] = stream
            self._numbers[label, number] = fd
            self._counts[name] = self._counts.get(name, 0) + 1
        stream.to_console = service is not None and service.log == "console"
        if service is not None and service.log == "file":
            self._set_file(stream, service)
        elif stream.writer is not None:
            self._unset_file(stream, stream.writer)
        self._forgotten.discard(name)
        return stream

    def reader_of(self, label: str, number: int) -> int:
        """Return the pipe that processes which a service has left behind still hold, or -1.

        The next process with the label uses it, too, or each restart would leave two pipes here.
        """
        fd = self._numbers.get((label, number), -1)
        if fd >= 0:
            stream = self._streams[fd]
            self._drain(stream)
            if fd not in self._streams:
                return -1  # nothing holds it any more
            self._log(stream, stream.cutter.flush())
        return fd

    def has(self, fd: int) -> bool:
        """Return whether `fd` is read."""
        return fd in self._streams

    def release(self, name: str) -> None:
        """Note that the service `name` is forgotten: its log file's writer may end."""
        if name in self._counts:
            self._forgotten.add(name)
        else:
            self._has_unused = bool(self._writers)

    def flush(self) -> None:
        """Read what the pipes hold now, before the daemon ends."""
        for stream in list(self._streams.values()):
            self._drain(stream)

    def _drain(self, stream: Stream) -> None:
        for _ in range(READS_AT_END):
            if not self._read(stream):
                break

    def reopen(self) -> None:
        """Begin log files anew that were removed or renamed."""
        for stream in self._streams.values():
            if stream.writer is not None:
                stream.writer.open(stream.file)

    def next_time(self) -> float | None:
        """Return when `turn` must be called."""
        if not self._writers:
            return None
        times = [writer.next_time() for writer in self._writers.values()]
        return min((at for at in times if at is not None), default=None)

    def turn(self, now: float) -> None:
        """Check for writers that hang."""
        for writer in self._writers.values():
            writer.turn(now)
        if self._has_unused:
            self._end_unused()

    def _end_unused(self) -> None:
        """End the writers that no pipe uses; a service that is started again gets a new one."""
        used = {stream.writer for stream in self._streams.values()}
        unused = [one for one in self._writers.values() if one not in used]
        left = [one for one in unused if not one.close()]
        for writer in unused:
            if writer not in left:
                del self._writers[writer.folder]
        self._has_unused = bool(left)

    def finish(self) -> None:
        """Read what the pipes hold and let it be written, for at most `END_S` seconds."""
        self.flush()
        if self._writers:
            from zinit.log.writer import END_S

            until = time.monotonic() + END_S
            for writer in self._writers.values():
                writer.finish(until)

    def dump(self, hand_over: "HandOver") -> "dict[str, object]":
        """Return all pipes and writers."""
        return {
            "streams": [stream.dump(hand_over) for stream in self._streams.values()],
            "writers": [writer.dump(hand_over) for writer in self._writers.values()],
        }

    def restore(
        self, state: "dict[str, Any]", find_service: "Callable[[str], Service | None]"
    ) -> None:
        """Read the pipes and use the writers that `dump` returned."""
        from zinit.process.handover import restore_each

        def restore_writer(entry: "dict[str, Any]") -> None:
            self._find_writer(entry["folder"]).restore(entry)

        def restore_stream(entry: "dict[str, Any]") -> None:
            fd, name = entry["fd"], entry["service"]
            os.set_inheritable(fd, False)
            stream = self.attach(fd, entry["number"], entry["label"], name, find_service(name))
            stream.cutter = LineCutter(entry["rest"].encode("latin-1"))

        restore_each("a log writer", state["writers"], restore_writer, self._report)
        restore_each("a service's output", state["streams"], restore_stream, self._report)

    def _find_writer(self, folder: str) -> "LogWriter":
        """Return the writer for log files in `folder`."""
        writer = self._writers.get(folder)
        if writer is None:
            from zinit.log.writer import LogWriter

            writer = self._writers[folder] = LogWriter(self._loop, self._report, folder)
        return writer

    def _set_file(self, stream: Stream, service: "Service") -> None:
        from zinit.log.writer import make_header

        path = service.log_file
        stream.writer = self._find_writer(os.path.dirname(path))
        stream.file = make_header(path, service.log_size_bytes, service.log_keep)
        stream.writer.open(stream.file)

    def _unset_file(self, stream: Stream, writer: "LogWriter") -> None:
        if stream.fd in writer.waiting:
            writer.waiting.discard(stream.fd)
            self._loop.want(stream.fd, READ)
        stream.writer = None

    def _write(self, stream: Stream, writer: "LogWriter", lines: list[bytes]) -> None:
        """Give lines to the writer; while its queue is full, the service waits."""
        writer.write(stream.file, lines)
        if writer.is_full:
            writer.waiting.add(stream.fd)
            self._loop.want(stream.fd, 0)

    def _read(self, stream: Stream) -> bool:
        """Read once; return whether the pipe may hold more."""
        try:
            data = os.read(stream.fd, READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        lines = stream.cutter.feed(data) if data else stream.cutter.flush()
        self._log(stream, lines)
        if not data:
            self._close(stream)
        return bool(data)

    def _log(self, stream: Stream, lines: list[bytes]) -> None:
        """Send lines where the service's `log` says; all go into the ring."""
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

    def _close(self, stream: Stream) -> None:
        if stream.writer is not None:
            stream.writer.waiting.discard(stream.fd)
        self._loop.forget(stream.fd)
        os.close(stream.fd)
        del self._streams[stream.fd]
        if self._numbers.get((stream.label, stream.number)) == stream.fd:
            del self._numbers[stream.label, stream.number]
        self._uncount(stream.service)

    def _uncount(self, name: str) -> None:
        self._counts[name] -= 1
        if not self._counts[name]:
            del self._counts[name]
            if name in self._forgotten:
                self._forgotten.discard(name)
                self.release(name)
