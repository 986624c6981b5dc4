"""The table of open connections: caps, time-outs, eviction, and the bytes that clients hold up.

No I/O and no clock: the server passes the time and calls `sweep` about once a second.

When the table is full, a new client takes the place of the connection that has owed a request
longest (it is silent, has sent half a head, or is idle), else of the transfer that has been stalled
longest. So it is served however many of those there are. It is refused only when all connections
are transfers that make progress.
"""

from collections import Counter
from typing import Protocol

from serving.metrics import Metrics
from serving.settings import MIN_CHUNK_BYTES, ServerSettings

CHUNK_BYTES = 1 << 16
LARGE_CHUNK_BYTES = 1 << 18
PROVEN_BYTES = 4 << 20
"""More than the kernels at both ends take, as a rule, for a client that reads nothing."""
FILE_PROVEN_BYTES = 1 << 19
"""The same where only the kernel holds them."""
SHARE = 16
"""A chunk takes at most this fraction of the buffer memory that is left."""


class Peer(Protocol):
    """A connection, or one whose TLS handshake is not over."""

    address: str

    @property
    def is_stalled(self) -> bool:
        """Whether the client has taken nothing of its response since the last sweep but one."""

    def overdue(self, now: float) -> str | None:
        """Return which time-out the client has reached, or None."""

    def evict(self) -> None:
        """End the connection: its client owes a request, or has reached a time-out."""


class Connections:
    """All connections of one server."""

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.max_open = settings.max_connections
        self.peers: set[Peer] = set()
        self.owing: dict[Peer, None] = {}  # in the order in which they began to owe a request
        self.stalled: dict[Peer, None] = {}  # in the order in which they stalled
        self.by_address: Counter[str] = Counter()
        self.buffered_bytes = 0
        metrics.watch("zos_http_open_connections", "Open connections", self.peers.__len__)
        metrics.watch(
            "zos_http_buffered_bytes",
            "Response bytes in memory that clients have not taken",
            lambda: self.buffered_bytes,
        )

    def find_refusal(self, address: str) -> str | None:
        """Return why no connection from `address` can be taken, or None.

        In a full table, another connection may be closed to make room.
        """
        limit = self.settings.max_connections_per_client
        if limit and self.by_address[address] >= limit:
            return "client_connections"
        if len(self.peers) >= self.max_open and not self.evict_oldest():
            return "connections"
        return None

    def evict_oldest(self) -> bool:
        """Close the connection that can best be spared; return whether there was one."""
        peer = next(iter(self.owing or self.stalled), None)
        if peer is None:
            return False
        self.remove(peer)
        self.reject("evicted")
        peer.evict()
        return True

    def add(self, peer: Peer) -> None:
        """Add a connection, which owes its first request."""
        self.peers.add(peer)
        self.by_address[peer.address] += 1
        self.owing[peer] = None

    def remove(self, peer: Peer) -> None:
        """Remove a connection; nothing happens if it is gone already."""
        if peer not in self.peers:
            return
        self.peers.discard(peer)
        self.owing.pop(peer, None)
        self.stalled.pop(peer, None)
        self.by_address[peer.address] -= 1
        if not self.by_address[peer.address]:
            del self.by_address[peer.address]

    def set_owing(self, peer: Peer, *, is_owing: bool) -> None:
        """Note that a connection owes a request from now on, or no longer."""
        if not is_owing:
            self.owing.pop(peer, None)
        elif peer in self.peers:
            self.owing.setdefault(peer)

    def chunk_bytes(self, taken: int = 0) -> int:
        """Return the size of the next chunk of a response of which `taken` bytes have left.

        A client that has taken much gets larger chunks, which cost less. All shrink as memory fills
        up. `MIN_CHUNK_BYTES` are set aside for each connection, so `max_buffered_bytes` is never
        exceeded.
        """
        most = CHUNK_BYTES if taken < PROVEN_BYTES else LARGE_CHUNK_BYTES
        return min(most, max(MIN_CHUNK_BYTES, self.left_bytes // SHARE))

    @property
    def left_bytes(self) -> int:
        """Return how much buffer memory is left beside what is set aside."""
        reserve = self.max_open * MIN_CHUNK_BYTES
        return self.settings.max_buffered_bytes - reserve - self.buffered_bytes

    def take_room(self, count: int) -> bool:
        """Count bytes that a response may hold; False: that is too much of what is left."""
        if count > self.left_bytes // SHARE:
            return False
        self.buffered_bytes += count
        return True

    def sweep(self, now: float) -> None:
        """Close every connection whose client has reached a time-out."""
        for peer in list(self.peers):
            reason = peer.overdue(now)
            if reason is not None:
                self.reject(reason)
                peer.evict()
            elif peer.is_stalled:
                self.stalled.setdefault(peer)
            else:
                self.stalled.pop(peer, None)

    def reject(self, reason: str) -> None:
        """Count a connection that was refused or ended."""
        self.metrics.rejected.labels(reason).inc()
