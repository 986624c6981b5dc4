"""What services print: from their pipes into the ring, and to the console where that is wanted."""

import os

from zinit.ring import LineCutter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.loop import Loop
    from zinit.ring import Ring

READ_SIZE = 16384
RANK = 2
START_MARK = b"------------ [start] ------------"
STDOUT = b"[+]"
STDERR = b"[-]"


class Outputs:
    """Reads the pipes of all services."""

    def __init__(self, loop: "Loop", ring: "Ring", console: "Callable[[bytes], None]") -> None:
        self._loop = loop
        self._ring = ring
        self._console = console

    def mark_start(self, label: str) -> None:
        """Note in the ring that `label` starts."""
        self._ring.append(STDERR + b" " + label.encode() + b": " + START_MARK)

    def attach(self, fd: int, mark: bytes, label: str, to_console: bool) -> None:
        """Read `fd` until its end; takes the descriptor over."""
        os.set_blocking(fd, False)
        prefix = mark + b" " + label.encode() + b": "
        stream = Stream(fd, prefix, LineCutter(), to_console)
        self._loop.watch(fd, RANK, lambda _: self._read(stream))

    def _read(self, stream: "Stream") -> None:
        try:
            data = os.read(stream.fd, READ_SIZE)
        except BlockingIOError:
            return
        lines = stream.cutter.feed(data) if data else stream.cutter.flush()
        for line in lines:
            self._ring.append(stream.prefix + line)
        if stream.to_console and lines:
            self._console(b"".join(stream.prefix + line + b"\n" for line in lines))
        if not data:
            self._loop.forget(stream.fd)
            os.close(stream.fd)


class Stream:
    """One pipe."""

    __slots__ = ("cutter", "fd", "prefix", "to_console")

    def __init__(self, fd: int, prefix: bytes, cutter: LineCutter, to_console: bool) -> None:
        self.fd = fd
        self.prefix = prefix
        self.cutter = cutter
        self.to_console = to_console
