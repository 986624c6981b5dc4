"""What services print: from their pipes into the ring, and to the console or a file as wanted."""

import os

from zinit.ring import LineCutter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.config import Service
    from zinit.logfile import LogFile
    from zinit.loop import Loop
    from zinit.ring import Ring

READ_SIZE = 16384
RANK = 2
START_MARK = b"------------ [start] ------------"
STDOUT = b"[+]"
STDERR = b"[-]"


class Stream:
    """One pipe."""

    __slots__ = ("cutter", "fd", "file", "label", "mark", "service", "to_console")

    def __init__(self, fd: int, mark: bytes, label: str, service: str) -> None:
        self.fd = fd
        self.mark = mark
        self.label = label
        self.service = service
        self.cutter = LineCutter()
        self.to_console = False
        self.file: LogFile | None = None

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
        self._files: dict[str, LogFile] = {}  # path -> file, shared by stdout and stderr

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
            stream.file = self._find_file(service)
        self.streams[fd] = stream
        self._loop.watch(fd, RANK, lambda _: self._read(stream))
        return stream

    def flush(self) -> None:
        """Read what is in the pipes now (before everything ends)."""
        for stream in list(self.streams.values()):
            self._read(stream)

    def _find_file(self, service: "Service") -> "LogFile":
        from zinit.logfile import LogFile

        path = service.log_file
        file = self._files.get(path)
        if file is None or (file.size_bytes, file.keep) != (
            service.log_size_bytes,
            service.log_keep,
        ):
            if file is not None:
                file.close()
            file = LogFile(path, service.log_size_bytes, service.log_keep, self._report)
            self._files[path] = file
        return file

    def _read(self, stream: Stream) -> None:
        try:
            data = os.read(stream.fd, READ_SIZE)
        except BlockingIOError:
            return
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
        if stream.file is not None and lines:
            stream.file.write(lines)
        if not data:
            self._loop.forget(stream.fd)
            os.close(stream.fd)
            del self.streams[stream.fd]
