"""The table of connections: caps, eviction, time-outs, buffer memory."""

from dataclasses import dataclass, field

import pytest

from serving.connections import CHUNK_BYTES, LARGE_CHUNK_BYTES, PROVEN_BYTES, Connections
from serving.metrics import Metrics
from serving.settings import MIN_CHUNK_BYTES, ServerSettings

MIB = 1 << 20


@dataclass(eq=False)
class FakePeer:
    """A connection without a socket."""

    address: str = "192.0.2.1"
    reason: str | None = None
    is_stalled: bool = False
    ended: list[str] = field(default_factory=list)

    def overdue(self, now: float) -> str | None:
        """Return the time-out that the test chose."""
        return self.reason

    def evict(self) -> None:
        """Note that the connection was ended."""
        self.ended.append("evicted")


def make_table(**settings: float) -> Connections:
    """Return an empty table."""
    return Connections(ServerSettings.model_validate(settings), Metrics())


def rejections(table: Connections, reason: str) -> float:
    """Return how often the table has rejected for a reason."""
    return table.metrics.total(table.metrics.rejected, reason=reason)


def fill(table: Connections, count: int) -> list[FakePeer]:
    """Add peers that owe a request."""
    peers = [FakePeer() for _ in range(count)]
    for peer in peers:
        table.add(peer)
    return peers


def test_a_full_table_gives_up_who_has_owed_a_request_longest() -> None:
    table = make_table(max_connections=3)
    first, second, third = fill(table, 3)
    table.set_owing(first, is_owing=False)  # its request is being answered
    assert table.find_refusal("192.0.2.2") is None
    assert (first.ended, second.ended, third.ended) == ([], ["evicted"], [])
    table.set_owing(first, is_owing=True)
    table.add(FakePeer())
    assert table.find_refusal("192.0.2.2") is None
    assert (first.ended, third.ended) == ([], ["evicted"])
    assert rejections(table, "evicted") == 2


def test_then_the_transfer_that_is_stalled_longest() -> None:
    table = make_table(max_connections=3)
    peers = fill(table, 3)
    for peer in peers:
        table.set_owing(peer, is_owing=False)
    assert table.find_refusal("192.0.2.2") == "connections"
    peers[1].is_stalled = True
    table.sweep(1.0)
    peers[0].is_stalled = True
    table.sweep(2.0)
    assert table.find_refusal("192.0.2.2") is None
    assert [peer.ended for peer in peers] == [[], ["evicted"], []]
    peers[0].is_stalled = False  # it takes bytes again
    table.sweep(3.0)
    table.add(FakePeer())
    table.set_owing(next(p for p in table.owing), is_owing=False)
    assert table.find_refusal("192.0.2.2") == "connections"


def test_an_address_has_a_cap_of_its_own() -> None:
    table = make_table(max_connections_per_client=2)
    peers = fill(table, 2)
    assert table.find_refusal("192.0.2.1") == "client_connections"
    assert table.find_refusal("192.0.2.2") is None
    table.remove(peers[0])
    table.remove(peers[0])
    assert table.find_refusal("192.0.2.1") is None
    table.remove(peers[1])
    assert not table.by_address


def test_overdue_connections_are_ended_and_counted() -> None:
    table = make_table()
    late, punctual = fill(table, 2)
    late.reason = "idle_timeout"
    table.sweep(1.0)
    assert (late.ended, punctual.ended) == (["evicted"], [])
    assert rejections(table, "idle_timeout") == 1


@pytest.mark.parametrize(
    ("taken", "most"),
    [(0, CHUNK_BYTES), (PROVEN_BYTES - 1, CHUNK_BYTES), (PROVEN_BYTES, LARGE_CHUNK_BYTES)],
)
@pytest.mark.parametrize("count", [1, 100, 1000])
def test_stalled_clients_never_hold_more_than_the_buffer_limit(
    count: int, taken: int, most: int
) -> None:
    table = make_table(max_connections=count, max_buffered_bytes=8 * MIB)
    assert table.chunk_bytes(taken) == most
    for _ in range(count):  # each takes a chunk and never reads
        chunk = table.chunk_bytes(taken)
        assert MIN_CHUNK_BYTES <= chunk <= most
        table.buffered_bytes += chunk
    assert table.buffered_bytes <= 8 * MIB
