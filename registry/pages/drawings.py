"""What is drawn: the map of farms and the plots of a node, as numbers that templates put in SVG."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from registry.names import DAY_S
from registry.pages.land import LAND

CELL_DEG = 2
DOT_MIN, DOT_MAX = 1.2, 6.0
HEIGHT = 60
GOOD_PERCENT = 95


@dataclass(frozen=True, slots=True)
class Dot:
    """Farms that are near each other."""

    x: float
    y: float
    radius: float
    farms: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a plot: a day or a month."""

    x: int
    y: float
    height: float
    label: str
    percent: float | None

    @property
    def state(self) -> str:
        """Return how good it is."""
        if self.percent is None:
            return "none"
        return "good" if self.percent > GOOD_PERCENT else "poor"


def draw_land() -> list[str]:
    """Return the points of each continent, north up."""
    return [" ".join(turn(point) for point in outline.split()) for outline in LAND]


def turn(point: str) -> str:
    """Return a point with y downwards."""
    longitude, latitude = point.split(",")
    return f"{longitude},{-int(latitude)}"


def draw_dots(places: Iterable[tuple[float, float, int]]) -> list[Dot]:
    """Return the dots of the map, the greatest first: none hides a smaller one."""
    cells: dict[tuple[int, int], list[tuple[float, float, int]]] = defaultdict(list)
    for place in places:
        cells[round(place[0] / CELL_DEG), round(place[1] / CELL_DEG)].append(place)
    dots = [draw_dot(cell) for cell in cells.values()]
    return sorted(dots, key=lambda dot: -dot.radius)


def draw_dot(cell: list[tuple[float, float, int]]) -> Dot:
    """Return the dot of farms that are near each other."""
    nodes = sum(place[2] for place in cell)
    latitude = sum(place[0] for place in cell) / len(cell)
    longitude = sum(place[1] for place in cell) / len(cell)
    radius = min(DOT_MAX, DOT_MIN + math.log10(1 + nodes))
    return Dot(round(longitude, 1), round(-latitude, 1), round(radius, 2), len(cell), nodes)


def draw_days(
    up_ms: Mapping[int, int], names: Mapping[int, str], now_s: float, begin_s: float
) -> list[Bar]:
    """Return one bar for each day of `names`; only the time since `begin_s` counts."""
    bars = []
    for index, (day, name) in enumerate(names.items()):
        begin, end = max(day * DAY_S, begin_s), min((day + 1) * DAY_S, now_s)
        whole_ms = (end - begin) * 1000
        share = min(100.0, 100 * up_ms.get(day, 0) / whole_ms) if whole_ms > 0 else None
        bars.append(draw_bar(index, name, share))
    return bars


def draw_bar(index: int, name: str, percent: float | None) -> Bar:
    """Return a bar; of nothing, a line remains."""
    height = 1.0 if percent is None else max(1.0, round(percent / 100 * HEIGHT, 1))
    said = "not there yet" if percent is None else f"{percent:.1f} %"
    return Bar(index, HEIGHT - height, height, f"{name}: {said}", percent)
