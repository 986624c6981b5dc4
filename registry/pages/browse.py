"""What the pages show."""

import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from registry.names import DAY_S, day_of, month_of
from registry.pages import render_page
from registry.pages.drawings import draw_bar, draw_days, draw_dots, draw_land
from registry.views.queries import SIZE, FarmQuery, NodeQuery
from registry.views.registry import Registry
from registry.views.shown import find_status
from serving.problems import Problem

DAYS, MONTHS = 90, 12
COUNTRIES = 12
TITLES = {404: "Nothing is here", 405: "This can only be read", 422: "This cannot be asked"}
PUBLIC = ("description", "url", "contact", "country", "city")


def show_overview(registry: Registry) -> HTMLResponse:
    """Show the sums, and the map of the farms."""
    summary = registry.summary
    sums, places = summary.sums(), summary.places()
    countries = sorted(sums.countries.items(), key=lambda pair: (-pair[1], pair[0]))[:COUNTRIES]
    return page(
        "overview.html",
        here="",
        sums=sums,
        up=summary.sums(["up"]).nodes,
        land=draw_land(),
        dots=draw_dots(places),
        placed=len(places),
        countries=countries,
        head=registry.log.head(),
    )


def show_farms(registry: Registry, number: int) -> HTMLResponse:
    """Show a page of the farms."""
    found = registry.search.farms(FarmQuery(page=number, ret_count=True))
    return page("farms.html", here="pages/farms", farms=found.rows, **turning(number, found.count))


def show_farm(registry: Registry, farm: int, number: int) -> HTMLResponse:
    """Show a farm, and a page of its nodes."""
    row = registry.farms.find(farm)
    found = registry.search.nodes(NodeQuery(farm_ids=[farm], page=number, ret_count=True))
    public = json.loads(row.public)
    return page(
        "farm.html",
        farm=row,
        public={name: public[name] for name in PUBLIC if public.get(name)},
        nodes=[{**node._mapping, "status": status(registry, node)} for node in found.rows],
        **turning(number, found.count),
    )


def show_node(registry: Registry, name: str) -> HTMLResponse:
    """Show a node and its history."""
    row = registry.search.node(name)
    now_s = registry.search.clock()
    today = day_of(now_s)
    names = {day: name_day(day) for day in range(today - DAYS + 1, today + 1)}
    up_ms = registry.summary.days(row.number, min(names), today)
    months = registry.availability.months(row.id)[:MONTHS]
    return page(
        "node.html",
        node=row,
        state=status(registry, row),
        now_s=now_s,
        problems=json.loads(row.problems),
        days=draw_days(up_ms, names, now_s, row.created_s),
        months=months,
        bars=[
            draw_bar(index, month["month"], month["percent"])
            for index, month in enumerate(reversed(months))
        ],
        this_month=month_of(today),
    )


def show_log(registry: Registry) -> HTMLResponse:
    """Show the head of the log, and how it is verified."""
    log = registry.log
    head = log.head()
    return page(
        "log.html", here="pages/log", head=head, note=log.sign(head), verifier=str(log.verifier)
    )


def show_failure(_: Request, problem: Problem) -> Response:
    """Show an error to a browser."""
    title = TITLES.get(problem.status, problem.title)
    shown = page("error.html", problem.status, title=title, text=problem.detail, hint=problem.hint)
    shown.headers.update(problem.headers)
    return shown


def page(name: str, code: int = 200, **values: Any) -> HTMLResponse:
    """Return a page."""
    shown: HTMLResponse = render_page(name, code, **values)
    return shown


def turning(number: int, count: int | None) -> dict[str, int]:
    """Return where a page is in its list."""
    return {"number": number, "count": count or 0, "last": max(1, -(-(count or 0) // SIZE))}


def status(registry: Registry, row: Any) -> str:
    """Return whether a node is up, down, or off by plan (standby)."""
    search = registry.search
    found = find_status(row.kind, row.at_s, search.clock(), search.interval_s)
    return "standby" if found == "off" else found


def name_day(day: int) -> str:
    """Return a day as YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime(day * DAY_S))
