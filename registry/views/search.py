"""Finds farms and nodes, a page at a time.

An index narrows each filter and gives each order: what is free is no more than what there is, so
the index of the whole amount serves both.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from registry.errors import AbsentError
from registry.state.tables import FARMS, NODES
from registry.views.queries import FarmQuery, NodeQuery, Paging
from registry.views.shown import SILENT_AFTER
from serving.database import Database

AMOUNTS = ("cru", "mru", "sru", "hru")
PLACE = [
    FARMS.c.name.label("farm_name"),
    FARMS.c.country,
    FARMS.c.city,
    FARMS.c.latitude,
    FARMS.c.longitude,
]
LISTED = [*(column for column in NODES.c if column.name not in ("body", "problems")), *PLACE]
"""Of a list's nodes; what a node may make long is shown of one node only."""
NODE_ORDERS: dict[str, ColumnElement[Any]] = {
    "node_id": NODES.c.number,
    "created": NODES.c.number,  # nodes are numbered as they come
    "farm_id": NODES.c.farm,
    "updated_at": NODES.c.at_s,
    **{f"total_{name}": NODES.c[name] for name in AMOUNTS},
}
FARM_ORDERS: dict[str, ColumnElement[Any]] = {"farm_id": FARMS.c.number, "name": FARMS.c.name_key}
Conditions = list[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a page; `count` is how many there are in all, if that was asked for."""

    rows: Sequence[Any]
    count: int | None


class Search:
    """Finds farms and nodes of one database."""

    def __init__(
        self, database: Database, interval_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self.database = database
        self.interval_s = interval_s
        self.clock = clock

    def nodes(self, query: NodeQuery) -> Found:
        """Return a page of nodes."""
        wanted = select(*LISTED).join(FARMS, FARMS.c.number == NODES.c.farm)
        conditions = [*self.is_one_of(query.status), *filter_nodes(query)]
        return self.find(wanted, conditions, query, NODES.c.number, NODE_ORDERS[query.sort_by])

    def farms(self, query: FarmQuery) -> Found:
        """Return a page of farms."""
        conditions = filter_farms(query)
        order = FARM_ORDERS[query.sort_by]
        return self.find(select(FARMS), conditions, query, FARMS.c.number, order)

    def node(self, name: str) -> Any:
        """Return a node by its number or its id, all of it. Raises `AbsentError`."""
        is_number = name.isdecimal() and name.isascii() and len(name) < 16
        which = NODES.c.number == int(name) if is_number else NODES.c.id == name
        wanted = select(NODES, *PLACE).join(FARMS, FARMS.c.number == NODES.c.farm).where(which)
        with self.database.reading() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            raise AbsentError(f"no node {name[:64]} has reported here")
        return row

    def find(
        self,
        wanted: Select[Any],
        conditions: Conditions,
        paging: Paging,
        key: ColumnElement[Any],
        order: ColumnElement[Any],
    ) -> Found:
        """Return a page; rows that are equal in its order come by their numbers."""
        wanted = wanted.where(*conditions)
        columns = dict.fromkeys((order, key))
        is_down = paging.sort_order.lower() == "desc"
        ordered = wanted.order_by(*(it.desc() if is_down else it for it in columns))
        with self.database.reading() as connection:
            rows = connection.execute(ordered.limit(paging.size).offset(paging.offset)).all()
            if not paging.ret_count:
                return Found(rows, None)
            counted = select(func.count()).select_from(key.table).where(*conditions)
            return Found(rows, int(connection.execute(counted).scalar() or 0))

    def is_one_of(self, statuses: Sequence[str]) -> Conditions:
        """Return the condition of nodes with one of these statuses; of all, if there are none."""
        is_planned = NODES.c.kind == "shutdown"
        last_s = self.clock() - SILENT_AFTER * self.interval_s
        known = {
            "standby": is_planned,
            "up": and_(NODES.c.at_s >= last_s, ~is_planned),
            "down": and_(NODES.c.at_s < last_s, ~is_planned),
        }
        wanted = set(statuses)
        return [or_(*(known[it] for it in sorted(wanted)))] if 0 < len(wanted) < len(known) else []


def filter_nodes(query: NodeQuery) -> Conditions:
    """Return the conditions of a query, but that of the status."""
    found: Conditions = []
    if query.node_id is not None:
        found.append(NODES.c.number == query.node_id)
    if query.node_ids:
        found.append(NODES.c.number.in_(query.node_ids))
    if query.farm_ids:
        found.append(NODES.c.farm.in_(query.farm_ids))
    if query.has_gpu is not None:
        found.append((NODES.c.gpus > 0) == query.has_gpu)
    farms = filter_places(query)
    if farms:
        found.append(NODES.c.farm.in_(select(FARMS.c.number).where(*farms)))
    return [*found, *filter_amounts(query)]


def filter_places(query: NodeQuery) -> Conditions:
    """Return the conditions of a node's farm."""
    found: Conditions = []
    if query.farm_name is not None:
        found.append(FARMS.c.name_key == query.farm_name.lower())
    if query.country is not None:
        found.append(FARMS.c.country == query.country)
    if query.city is not None:
        found.append(FARMS.c.city == query.city)
    return found


def filter_amounts(query: NodeQuery) -> Conditions:
    """Return the conditions of what is free, and of what there is."""
    found: Conditions = []
    for name in AMOUNTS:
        total, free = getattr(query, f"total_{name}"), getattr(query, f"free_{name}")
        least = max(total or 0, free or 0)
        if least:
            found.append(NODES.c[name] >= least)
        if free:
            found.append(NODES.c[name] - NODES.c[f"used_{name}"] >= free)
    return found


def filter_farms(query: FarmQuery) -> Conditions:
    """Return the conditions of a query."""
    found: Conditions = []
    if query.farm_id is not None:
        found.append(FARMS.c.number == query.farm_id)
    if query.name is not None:
        found.append(FARMS.c.name_key == query.name.lower())
    if query.country is not None:
        found.append(FARMS.c.country == query.country)
    return found
