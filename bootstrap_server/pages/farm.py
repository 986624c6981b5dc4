"""The page of a farm: its nodes, and how far the last boot of each has got."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.responses import HTMLResponse

from bootstrap_server.pages import render_page

STAGES = {
    "script": "script fetched",
    "kernel": "kernel fetched",
    "initramfs": "initramfs fetched",
    "linux": "Linux runs",
    "network": "network is up",
    "channel": "release is genuine",
    "flist": "file systems mounted",
    "ready": "ready",
}
"""What a person reads of each stage, in order; "failed" is not one of them."""

STATES = {"ready": "Ready", "failed": "Failed", "booting": "Booting"}
PERIODS_S = (15, 60)
SHOWN_MAX_CHARS = 40  # of what was typed instead of a number
Node = Mapping[str, Any]
"""A machine as `nodes/views.py` shows it."""


def choose_farm(root: str, typed: str, error: str) -> HTMLResponse:
    """Return the page that asks for a farm's number."""
    status = 422 if error else 200
    values = {"typed": typed[:SHOWN_MAX_CHARS], "error": error}
    return render_page("farms.html", status, here="farms", root=root, **values)


def show_farm(
    root: str, farm: int, nodes: Sequence[Node], period: str, *, can_claim: bool
) -> HTMLResponse:
    """Return the page; it loads itself again every `period` seconds, if the reader chose that."""
    every_s = int(period) if period in map(str, PERIODS_S) else 0
    return render_page(
        "farm.html",
        here="farms",
        root=root,
        farm=farm,
        nodes=[describe_node(node) for node in nodes],
        counts=count_states(nodes),
        every_s=every_s,
        can_claim=can_claim,
        periods=PERIODS_S,
    )


def count_states(nodes: Sequence[Node]) -> str:
    """Return how many nodes are in each state, in words."""
    states = [node["state"] for node in nodes]
    found = {name: states.count(name) for name in STATES}
    return ", ".join(f"{count} {name}" for name, count in found.items() if count)


def describe_node(node: Node) -> dict[str, object]:
    """Return what the page says of a node."""
    began = read_time(node["began"])
    reached = {step["stage"]: step for step in node["stages"]}
    steps = [
        {"title": title, "after": after(began, reached.get(stage)), "is_done": stage in reached}
        for stage, title in STAGES.items()
    ]
    return {
        "id": node["id"],
        "name": node["name"],
        "run_mode": node["run_mode"] or "",
        "is_enrolled": node["is_enrolled"],
        "state": node["state"],
        "said": STATES[node["state"]],
        "began": node["began"],
        "began_text": f"{began:%d %B %Y, %H:%M:%S} UTC",
        "steps": steps,
        "failure": reached.get("failed") if node["state"] == "failed" else None,
    }


def after(began: datetime, step: Mapping[str, str] | None) -> str:
    """Return how long after the begin of the boot a stage was reached."""
    if step is None:
        return ""
    seconds = max(0, round((read_time(step["at"]) - began).total_seconds()))
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def read_time(text: str) -> datetime:
    """Return the time of a view."""
    return datetime.fromisoformat(text)
