"""The file of a month, compared with a log that was added up by hand."""

import json
from typing import Any

import pytest

from common.nodes.envelope import open_envelope
from registry.errors import RegistryError
from registry.log.upkeep import Upkeep
from registry.names import DAY_S, days_of, month_of
from tests.helpers.registry.site import BEGIN_S, Node, Site, make_site

BEAT_S = 2400.0
OCTOBER_S = 31 * DAY_S  # the tests' time begins with it


def make() -> tuple[Site, Node]:
    site = make_site()
    site.add_farm()
    return site, site.add_node(seed=5, is_quick=True)


def beat(site: Site, node: Node, seconds: float, step_s: float = BEAT_S) -> None:
    """Let a node report every 40 minutes for a time, and at its end."""
    end_s = site.now_s + seconds
    while site.now_s < end_s:
        site.now_s = min(end_s, site.now_s + step_s)
        assert node.report()[0] == 200


def reboot(site: Site, node: Node, off_s: float) -> None:
    site.now_s += off_s
    node.start()
    assert node.register()[0] == 200


def read_file(site: Site, node: Node, month: str = "2026-10") -> Any:
    message = json.dumps(site.get(f"/api/v1/nodes/{node.id}/availability/{month}")).encode()
    opened = open_envelope(message, "availability")
    assert opened.key == site.registry.key.public
    return opened.payload


def test_a_month_by_hand() -> None:
    site, node = make()
    beat(site, node, 10 * DAY_S)  # 10 days up
    reboot(site, node, 3600)  # off for an hour
    beat(site, node, 5 * DAY_S)
    site.now_s += 3 * 3600  # silent for too long: not counted, though it was up
    assert node.report()[0] == 200
    beat(site, node, DAY_S)
    site.now_s += BEAT_S
    assert node.report(uptime_s=5.0)[1]["doubt"]  # not believed: not counted
    site.now_s += BEAT_S
    assert node.report(uptime_s=5.0 + BEAT_S)[1]["doubt"] == ""  # goes on from there: counted
    site.now_s = BEGIN_S + 40 * DAY_S
    found = read_file(site, node)
    up_ms = (16 * DAY_S + int(BEAT_S)) * 1000
    assert (found["up_ms"], found["length_ms"]) == (up_ms, OCTOBER_S * 1000)
    assert found["farms"] == [{"farm": 1, "up_ms": up_ms}]
    assert (found["boots"], found["doubted"], found["is_available"]) == (2, 1, False)
    assert found["percent"] == 51.7
    assert found["reports"] == 1 + 16 * 36 + 1 + 1 + 2
    assert site.get(f"/api/v1/log/entries?start={found['last_entry']}")["entries"]
    site.check()


@pytest.mark.parametrize(("off_s", "is_available"), [(0.05, False), (-0.05, True)])
def test_more_than_95_percent_is_available(off_s: float, is_available: bool) -> None:
    site, node = make()
    reboot(site, node, OCTOBER_S * 0.05 + off_s)
    beat(site, node, OCTOBER_S - (site.now_s - BEGIN_S) + BEAT_S, step_s=7200)
    site.now_s += 2 * DAY_S
    assert read_file(site, node)["is_available"] == is_available


def test_an_interval_over_the_end_counts_in_both_months() -> None:
    site, node = make()
    reboot(site, node, OCTOBER_S - 1000)
    beat(site, node, BEAT_S)
    site.now_s += 70 * DAY_S
    assert read_file(site, node)["up_ms"] == 1_000_000
    assert read_file(site, node, "2026-11")["up_ms"] == 1_400_000
    shown = site.get(f"/api/v1/nodes/{node.id}/availability")
    assert [row["month"] for row in shown] == ["2027-01", "2026-12", "2026-11", "2026-10"]
    assert [row["up_ms"] for row in shown] == [0, 0, 1_400_000, 1_000_000]


def test_the_file_never_changes_and_a_second_registry_makes_the_same() -> None:
    def run() -> str:
        site, node = make()
        beat(site, node, 3 * DAY_S)
        site.now_s = BEGIN_S + 35 * DAY_S
        first = site.get(f"/api/v1/nodes/{node.id}/availability/2026-10")
        node.start()
        node.register()
        assert site.get(f"/api/v1/nodes/{node.id}/availability/2026-10") == first
        return json.dumps(first)

    assert run() == run()


def test_a_month_is_settled_when_nothing_can_be_added() -> None:
    site, node = make()
    address = f"/api/v1/nodes/{node.id}/availability/2026-10"
    site.now_s = BEGIN_S + OCTOBER_S + 7200
    status, said = site.send("GET", address)
    assert (status, said["hint"]) == (409, "ask again after 2026-11-01 02:00 UTC")
    site.now_s += 1
    assert site.send("GET", address)[0] == 200


def test_a_pause_of_the_registry_costs_a_node_nothing() -> None:
    site, node = make()
    upkeep = Upkeep(site.registry.database, site.registry.scribe, 0, site.clock)
    site.now_s = BEGIN_S + OCTOBER_S - BEAT_S
    reboot(site, node, 0)
    upkeep.mark_alive()
    site.now_s += 5 * 3600
    upkeep.mark_alive()  # the server was down for five hours
    assert site.send("GET", f"/api/v1/nodes/{node.id}/availability/2026-10")[0] == 409
    site.now_s += 600
    assert node.report()[0] == 200
    site.now_s += 12 * 3600
    found = read_file(site, node)
    assert found["up_ms"] == BEAT_S * 1000
    site.now_s += 40 * DAY_S
    assert read_file(site, node, "2026-11")["up_ms"] == (5 * 3600 + 600 - BEAT_S) * 1000
    site.check()


@pytest.mark.parametrize("is_marked_first", [False, True])
def test_a_database_that_was_away_costs_a_node_nothing(is_marked_first: bool) -> None:
    site, node = make()
    upkeep = Upkeep(site.registry.database, site.registry.scribe, 0, site.clock)
    beat(site, node, DAY_S)
    site.is_running = False  # servers run, and cannot write
    site.now_s += 5 * 3600
    if is_marked_first:
        upkeep.mark_alive()
    assert node.report()[0] == 200
    site.is_running = True
    entries = site.get("/api/v1/log/entries?start=37")["entries"]
    assert [entry["kind"] for entry in entries] == ["report", "pause", "report"]
    site.now_s = BEGIN_S + 40 * DAY_S
    assert read_file(site, node)["up_ms"] == (DAY_S + 5 * 3600) * 1000
    site.check()


@pytest.mark.parametrize("until_s", [7200 - 30.0, 7200 + 3 * 3600.0])
def test_a_file_is_not_signed_in_a_pause_that_is_not_noted_yet(until_s: float) -> None:
    site, node = make()
    reboot(site, node, OCTOBER_S - BEAT_S)
    beat(site, node, BEAT_S - 1)
    site.now_s = BEGIN_S + OCTOBER_S + 7200 - 30  # the last mark of a server
    site.mark_alive()
    site.is_running = False
    address = f"/api/v1/nodes/{node.id}/availability/2026-10"
    site.now_s = BEGIN_S + OCTOBER_S + until_s + 31
    assert site.send("GET", address)[0] == 409
    site.now_s = BEGIN_S + OCTOBER_S + 4 * 3600
    assert node.report()[0] == 200  # it counts to the end of October, and after
    site.is_running = True
    site.now_s += DAY_S
    assert read_file(site, node)["up_ms"] == BEAT_S * 1000
    site.check()


def test_months_that_are_none() -> None:
    site, node = make()
    for month in ("2026-13", "2026-1", "x", "1969-12"):
        assert site.send("GET", f"/api/v1/nodes/{node.id}/availability/{month}")[0] == 422
    assert site.send("GET", f"/api/v1/nodes/{node.id}/availability/2026-09")[0] == 404
    other = site.make_node()
    assert site.send("GET", f"/api/v1/nodes/{other.id}/availability/2026-09")[0] == 404
    with pytest.raises(RegistryError, match="no month"):
        days_of("2026-00")


def test_days_and_months() -> None:
    days = days_of("2024-02")
    assert (len(days), month_of(days.start), month_of(days.stop)) == (29, "2024-02", "2024-03")
