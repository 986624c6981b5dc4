"""A server is given up when nothing comes for a time, or next to nothing.

A socket's own time-out begins anew with every byte: a server that sends one now and then would hold
a reader for ever.
"""

import io
import math
import socket
import time
from collections.abc import Callable

LONGEST_S = 20.0
"""How long a store may say nothing, if nobody says otherwise."""
SLOWEST_BYTES_PER_S = 4096
PIECE_BYTES = 65536


class Patience:
    """What is left of `limit_s` seconds for one answer of at most `max_bytes`.

    Bytes that come or go give time back, as much as they may take and never more than was used.
    """

    def __init__(
        self,
        limit_s: float,
        max_bytes: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit_s = limit_s
        self.bytes_left = max_bytes
        self.clock = clock
        self.due = clock() + limit_s

    def left(self) -> float:
        """Return how many seconds are left; raises `TimeoutError` if there are none."""
        left = self.due - self.clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def add(self, size: int) -> None:
        """Give time back for bytes."""
        self.due = min(self.due + size / SLOWEST_BYTES_PER_S, self.clock() + self.limit_s)

    def take(self, size: int) -> None:
        """Note that bytes came; raises `OSError` for more than there may be."""
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
        """Return what reads from it; it keeps the connection open until it is closed itself."""
        del mode  # what http.client says
        return io.BufferedReader(PatientReader(self))

    def close(self) -> None:
        """Close."""
        self.socket.close()


class PatientReader(io.RawIOBase):
    """Reads from a socket while there is patience."""

    def __init__(self, patient: PatientSocket) -> None:
        self.patient = patient
        self.raw = patient.socket.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        """Read what is there, or wait for something."""
        patience = self.patient.patience
        self.patient.socket.settimeout(patience.left())
        size = self.raw.readinto(buffer)
        patience.take(size or 0)
        return size

    def close(self) -> None:
        """Let go of the connection."""
        self.raw.close()
        super().close()
