"""Sums of all nodes and of each farm. They take a while to compute, and are kept for a moment."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Double, cast, func, select

from registry.state.tables import FARMS, NODES, UPTIME
from registry.views.search import AMOUNTS, Search

KEPT_S = 30.0
PLACES_MAX = 5000


@dataclass(frozen=True, slots=True)
class Sums:
    """What there is in all."""

    farms: int
    nodes: int
    gpus: int
    ipv4u: int
    amounts: dict[str, int]
    countries: dict[str, int] = field(default_factory=dict)  # how many nodes


class Summary:
    """Computes sums, each at most once in a while."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.lock = threading.Lock()
        self.kept: dict[object, tuple[float, Any]] = {}

    def sums(self, statuses: Sequence[str] = ()) -> Sums:
        """Return the sums of the nodes with one of these statuses; of all, if there are none."""
        wanted = frozenset(statuses)
        sums: Sums = self.keep(wanted, lambda: self.compute(sorted(wanted)))
        return sums

    def places(self) -> list[tuple[float, float, int]]:
        """Return latitude, longitude and number of nodes of the farms that say where they are."""
        found: list[tuple[float, float, int]] = self.keep("places", self.find_places)
        return found

    def keep(self, name: object, compute: Any) -> Any:
        """Return what is kept, or compute it: one request does, others wait for it."""
        with self.lock:
            at_s, value = self.kept.get(name, (float("-inf"), None))
            now_s = time.monotonic()
            if now_s - at_s > KEPT_S:
                value = compute()
                self.kept[name] = (now_s, value)
        return value

    def compute(self, statuses: Sequence[str]) -> Sums:
        """Return the sums. Doubles do not overflow, whatever nodes claim."""
        names = ("gpus", "ipv4u", *AMOUNTS)
        columns = [func.sum(cast(NODES.c[name], Double)).label(name) for name in names]
        wanted = (
            select(FARMS.c.country, func.count().label("nodes"), *columns)
            .join(FARMS, FARMS.c.number == NODES.c.farm)
            .where(*self.search.is_one_of(statuses))
            .group_by(FARMS.c.country)
        )
        with self.search.database.reading() as connection:
            rows = connection.execute(wanted).all()
            farms = connection.execute(select(func.count()).select_from(FARMS)).scalar()
        whole = {name: int(sum(row._mapping[name] for row in rows)) for name in names}
        amounts = {name: whole[name] for name in AMOUNTS}
        countries = {row.country: row.nodes for row in rows if row.country}
        nodes = sum(row.nodes for row in rows)
        return Sums(int(farms or 0), nodes, whole["gpus"], whole["ipv4u"], amounts, countries)

    def find_places(self) -> list[tuple[float, float, int]]:
        """Return the farms that are on the map."""
        nodes = func.count(NODES.c.number).label("nodes")
        wanted = (
            select(FARMS.c.latitude, FARMS.c.longitude, nodes)
            .outerjoin(NODES, NODES.c.farm == FARMS.c.number)
            .where(FARMS.c.latitude.is_not(None), FARMS.c.longitude.is_not(None))
            .group_by(FARMS.c.number, FARMS.c.latitude, FARMS.c.longitude)
            .order_by(nodes.desc())
            .limit(PLACES_MAX)
        )
        with self.search.database.reading() as connection:
            return [(row.latitude, row.longitude, row.nodes) for row in connection.execute(wanted)]

    def days(self, node: int, first: int, last: int) -> dict[int, int]:
        """Return the milliseconds for which a node was up on each day, from one day to another."""
        up = func.sum(UPTIME.c.up_ms)
        wanted = (
            select(UPTIME.c.day, up)
            .where(UPTIME.c.node == node, UPTIME.c.day >= first, UPTIME.c.day <= last)
            .group_by(UPTIME.c.day)
        )
        with self.search.database.reading() as connection:
            return {day: int(up_ms) for day, up_ms in connection.execute(wanted)}
