"""A time limit for one answer that ends silence and dripping, but not a slow, steady transfer.

A socket's own time-out starts again with every byte, so a server that sends one now and then could
hold a reader for ever.
"""

import io
import math
import socket
import time
from collections.abc import Callable

LONGEST_S = 20.0
"""How long a server may be silent, unless the caller says otherwise."""
SLOWEST_BYTES_PER_S = 4096
PIECE_BYTES = 65536


class Patience:
    """The rest of `limit_s` seconds for one answer of at most `max_bytes`.

    Bytes that are sent or received give time back at `SLOWEST_BYTES_PER_S`, but never more than was
    used: a fast start earns no credit.
    """

    def __init__(
        self,
        limit_s: float,
        max_bytes: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit_s = limit_s
        self.max_bytes = max_bytes
        self.clock = clock
        self.renew()

    def renew(self) -> None:
        """Start again, for another try."""
        self.bytes_left = self.max_bytes
        self.due = self.clock() + self.limit_s

    def left(self) -> float:
        """Return how many seconds are left; raises `TimeoutError` if there are none."""
        left = self.due - self.clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def add(self, size: int) -> None:
        """Give time back for `size` bytes."""
        self.due = min(self.due + size / SLOWEST_BYTES_PER_S, self.clock() + self.limit_s)

    def take(self, size: int) -> None:
        """Count `size` received bytes; raises `OSError` for more than `max_bytes`."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise OSError("the answer does not end")
        self.add(size)


class PatientSocket:
    """As much of a connected socket as its users need; set `patience` before each exchange."""

    def __init__(self, connected: socket.socket, patience: Patience) -> None:
        self.socket = connected
        self.patience = patience

    def sendall(self, data: bytes) -> None:
        """Send everything."""
        view = memoryview(data)
        for start in range(0, len(view), PIECE_BYTES):
            piece = view[start : start + PIECE_BYTES]
            self.socket.settimeout(self.patience.left())
            self.socket.sendall(piece)
            self.patience.add(len(piece))

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """Return a reader of the socket; it keeps the connection open until it is closed itself."""
        del mode  # http.client passes it; it is always "rb"
        return io.BufferedReader(PatientReader(self))

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class PatientReader(io.RawIOBase):
    """Reads from a socket while there is patience."""

    def __init__(self, patient: PatientSocket) -> None:
        self.patient = patient
        self.raw = patient.socket.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """Return true, for `io.BufferedReader`."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        """Read what has arrived, or wait for something."""
        patience = self.patient.patience
        self.patient.socket.settimeout(patience.left())
        size = self.raw.readinto(buffer)
        patience.take(size or 0)
        return size

    def close(self) -> None:
        """Release the connection."""
        self.raw.close()
        super().close()
