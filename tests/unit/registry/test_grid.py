"""The read API for clients of the grid proxy: its form, filters, pages, and that indexes serve."""

import json
from typing import Any

import pytest
from sqlalchemy import event

from registry.views.queries import NodeQuery
from registry.views.search import AMOUNTS, NODE_ORDERS
from tests.helpers.asgi import ask
from tests.helpers.registry.site import CAPACITY, Site, make_site

GIB = 1 << 30


@pytest.fixture(name="site")
def make() -> Site:
    """Return a registry with two farms and three nodes; the third was shut down by plan."""
    site = make_site()
    site.add_farm("one", public={"country": "Belgium", "city": "Ghent"})
    site.add_farm("Two", public={"country": "Egypt", "latitude": 30.0, "longitude": 31.2})
    site.add_node(1, used={"mru": 6 * GIB}, dmi={"sections": []}, serial="S1")
    site.add_node(2, capacity={**CAPACITY, "cru": 16, "mru": 64 * GIB}, gpus=[{"id": "1"}])
    site.add_node(2).report("shutdown")
    return site


def numbers(site: Site, query: str) -> list[int]:
    """Return the numbers of the nodes that are found."""
    return [node["nodeId"] for node in site.get(f"/nodes?{query}")]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [1, 2, 3]),
        ("status=up", [1, 2]),
        ("status=up,standby", [1, 2, 3]),
        ("status=standby", [3]),
        ("status=down", []),
        ("farm_ids=2", [2, 3]),
        ("farm_ids=1,2&status=up", [1, 2]),
        ("farm_ids=1&farm_ids=2", [1, 2, 3]),
        ("farm_name=two", [2, 3]),
        ("country=Belgium", [1]),
        ("country=Belgium&city=Cairo", []),
        ("node_id=2", [2]),
        ("node_ids=1,3", [1, 3]),
        (f"free_mru={2 * GIB}", [1, 2, 3]),
        (f"free_mru={2 * GIB + 1}", [2, 3]),
        (f"total_mru={8 * GIB + 1}", [2]),
        ("total_cru=5", [2]),
        ("free_hru=1", []),
        ("has_gpu=true", [2]),
        ("has_gpu=false", [1, 3]),
        ("sort_by=total_mru&sort_order=desc", [2, 3, 1]),
        ("sort_by=farm_id&sort_order=DESC", [3, 2, 1]),
        ("page=2&size=2", [3]),
        ("page=3&size=2", []),
    ],
)
def test_filters_orders_and_pages(site: Site, query: str, found: list[int]) -> None:
    assert numbers(site, query) == found


def test_a_node_that_is_silent_is_down(site: Site) -> None:
    site.now_s += 3 * 2400
    assert numbers(site, "status=down") == [1, 2]
    assert site.get("/nodes/1/status") == {"status": "down"}
    assert site.get("/nodes/3/status") == {"status": "standby"}


def test_the_count_is_that_of_all_pages_and_only_if_asked_for(site: Site) -> None:
    whole = ask(site.app, "/nodes?farm_ids=2&size=1&ret_count=true")
    assert (whole.headers["count"], len(json.loads(whole.body))) == ("2", 1)
    assert "count" not in ask(site.app, "/nodes?size=1").headers
    assert ask(site.app, "/farms?size=1&ret_count=true").headers["count"] == "2"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/nodes?rentable=true", "rentable"),
        ("/nodes?status=on", "status"),
        ("/nodes?size=501", "size"),
        ("/nodes?page=0", "page"),
        ("/nodes?sort_by=body", "sort_by"),
        ("/nodes?free_mru=x", "free_mru"),
        ("/nodes?farm_ids=1,x", "farm_ids"),
        ("/farms?twin_id=1", "twin_id"),
        ("/stats?page=1", "page"),
    ],
)
def test_what_cannot_be_asked_is_named(site: Site, path: str, name: str) -> None:
    status, said = site.send("GET", path)
    assert status == 422
    assert name in said["detail"]


def test_farms(site: Site) -> None:
    assert [(it["farmId"], it["name"]) for it in site.get("/farms")] == [(1, "one"), (2, "Two")]
    assert [it["farmId"] for it in site.get("/farms?sort_by=name&sort_order=desc")] == [2, 1]
    assert [it["farmId"] for it in site.get("/farms?country=Egypt&name=TWO&farm_id=2")] == [2]


def test_a_node_has_the_form_that_clients_read(site: Site) -> None:
    listed = site.get("/nodes?node_id=1")[0]
    assert listed["total_resources"] == {name: CAPACITY[name] for name in AMOUNTS}
    assert listed["used_resources"]["mru"] == 6 * GIB
    assert (listed["farmName"], listed["country"], listed["status"]) == ("one", "Belgium", "up")
    alone = site.get("/nodes/1")
    assert alone["capacity"]["used_resources"] == listed["used_resources"]
    assert alone["dmi"] == {"sections": []}
    assert site.get(f"/nodes/{alone['id']}") == alone
    assert site.get("/nodes/3")["power"] == {"state": "Down", "target": "Down"}
    assert site.send("GET", "/nodes/99")[0] == 404


def test_sums_do_not_overflow_and_are_kept_for_a_moment(site: Site) -> None:
    for _ in range(3):
        site.add_node(1, capacity={**CAPACITY, "mru": 2**63 - 1})
    sums = site.get("/stats?status=up")
    assert (sums["nodes"], sums["farms"], sums["countries"], sums["totalCru"]) == (5, 2, 2, 32)
    assert sums["totalMru"] > 2**63
    assert sums["nodesDistribution"] == {"Belgium": 4, "Egypt": 1}
    site.add_node(1)
    assert site.get("/stats?status=up") == sums
    assert site.get("/stats")["nodes"] == 7


NARROWING: list[dict[str, Any]] = [
    {"farm_ids": [1]},
    {"node_ids": [1, 2]},
    {"node_id": 1},
    {"country": "Belgium"},
    {"city": "Ghent"},
    {"farm_name": "one"},
]


@pytest.mark.parametrize("asked", NARROWING, ids=str)
def test_an_index_narrows_what_is_read(site: Site, asked: dict[str, Any]) -> None:
    plans = explain(site, NodeQuery(ret_count=True, **asked))
    assert plans
    assert [step for step in plans if step.startswith("SCAN")] == []


@pytest.mark.parametrize("order", NODE_ORDERS)
def test_an_index_gives_the_order(site: Site, order: Any) -> None:
    plans = explain(site, NodeQuery(sort_by=order, sort_order="desc"))
    assert [step for step in plans if "FOR ORDER BY" in step and "LAST TERM" not in step] == []
    assert [step for step in plans if step.startswith("SCAN nodes") and "INDEX" not in step] == []


def explain(site: Site, query: NodeQuery) -> list[str]:
    """Return the steps of SQLite's plans for the statements of a query."""
    engine = site.registry.database.engine
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _u: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    site.registry.search.nodes(query)
    event.remove(engine, "before_cursor_execute", note)
    with site.registry.database.reading() as connection:
        plans = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            for statement, values in seen
        ]
    return [row[3] for plan in plans for row in plan]
