"""The metrics of several workers."""

import pytest

from serving.metrics import Metrics
from serving.workers.samples import HEAD, SLOT_BYTES, Share, Slots


def make_shares(slots: Slots) -> list[tuple[Metrics, Share]]:
    """Return what each worker has."""
    rows = []
    for number in range(slots.count):
        metrics = Metrics()
        metrics.share = Share(slots, number, metrics.registry)
        rows.append((metrics, metrics.share))
    return rows


def values(metrics: Metrics) -> dict[str, float]:
    """Return what /metrics shows, by sample."""
    lines = metrics.render().decode().splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def test_whichever_is_asked_shows_the_sum() -> None:
    (one, _), (two, share) = make_shares(Slots(2))
    one.note("/a", "GET", 200, 0.01)
    two.note("/a", "GET", 200, 3.0)
    two.note("/b", "GET", 404, 0.01)
    two.in_flight.inc()
    share.publish()
    found = values(one)
    assert found['zos_http_requests_total{method="GET",route="/a",status="200"}'] == 2
    assert found['zos_http_requests_total{method="GET",route="/b",status="404"}'] == 1
    assert found['zos_http_request_duration_seconds_bucket{le="0.02",route="/a"}'] == 1
    assert found['zos_http_request_duration_seconds_sum{route="/a"}'] == 3.01
    assert found["zos_http_transfers_in_flight"] == 1
    assert found == values(two)


def test_counters_survive_their_worker_and_gauges_do_not() -> None:
    slots = Slots(1)
    ((metrics, share),) = make_shares(slots)
    metrics.note("/a", "GET", 200, 0.01)
    metrics.in_flight.inc(5)
    share.publish()
    for _ in range(3):
        slots.bury(0)
        ((metrics, share),) = make_shares(slots)
        metrics.note("/a", "GET", 200, 0.01)
        found = values(metrics)
        share.publish()
        share.publish()
    assert found['zos_http_requests_total{method="GET",route="/a",status="200"}'] == 4
    assert found["zos_http_transfers_in_flight"] == 0


def test_one_worker_and_many_show_the_same_text() -> None:
    alone, ((metrics, _),) = Metrics(), make_shares(Slots(1))
    for found in (alone, metrics):
        found.note("/a", "GET", 200, 0.5)
    assert metrics.render() == alone.render()


def test_a_slot_that_is_half_written_is_empty() -> None:
    slots = Slots(2)
    ((metrics, share), _) = make_shares(slots)
    metrics.note("/a", "GET", 200, 0.01)
    share.publish()
    assert slots.read(0)
    slots.memory[HEAD.size + 10] ^= 1
    assert slots.read(0) == []
    slots.memory[: HEAD.size] = HEAD.pack(0xFFFFFFFF, 1)
    assert slots.read(0) == slots.read(1) == []


def test_too_much_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots(1)
    ((_, share),) = make_shares(slots)
    share.publish()
    before = slots.read(0)
    monkeypatch.setattr("serving.workers.samples.SLOT_BYTES", HEAD.size + 10)
    assert not slots.write(0, before)
    monkeypatch.undo()
    assert slots.read(0) == before
    assert len(slots.memory) == SLOT_BYTES
