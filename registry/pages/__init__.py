"""The pages for people: plain HTML and one style sheet, complete without any script."""

from datetime import UTC, datetime
from typing import Any

from serving.pages import Pages

GIB = 1 << 30
TIB = 1 << 40
MARKS = {"up": "Up", "down": "Down", "standby": "Off by plan"}


def show_bytes(amount: int) -> str:
    """Return bytes for people."""
    if amount >= TIB:
        return f"{amount / TIB:,.1f} TiB"
    return f"{amount / GIB:,.1f} GiB"


def show_time(at_s: float) -> str:
    """Return a time for people, in UTC."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M} UTC"


def show_duration(length_s: float) -> str:
    """Return a duration for people."""
    hours, minutes = divmod(int(length_s) // 60, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"


PAGES = Pages("registry", {"bytes": show_bytes, "time": show_time, "duration": show_duration})


def render_page(name: str, status: int = 200, **values: Any) -> Any:
    """Return a page."""
    return PAGES.render(name, status, root="/", marks=MARKS, **values)
