"""`zos hub mirror`: the hubs that this one follows."""

import argparse
from collections.abc import Mapping
from typing import Any

from flist.errors import FlistError
from flist.hub.accounts.administration import CONSOLE
from flist.hub.commands import console
from flist.hub.library.hub import Hub
from flist.hub.mirror.mirrors import Mirror, Mirrors
from flist.values import parse_seconds

NAME, HELP = "mirror", "follow other hubs: pull what is missing here"
HOUR_S = 3600.0
run = console.run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = console.add_actions(parser)
    make = console.add_action(actions, "add", "follow a hub; a running server pulls", add)
    make.add_argument("urls", metavar="URL[,URL...]", help="the hub, and others if it fails")
    make.add_argument("--user", required=True, metavar="NAME", help="whose account publishes here")
    make.add_argument(
        "--pattern", default="*", metavar="PATTERN", help="flists, as REPO/NAME.fl with * and ?"
    )
    make.add_argument(
        "--every", type=parse_seconds, default=HOUR_S, metavar="SECONDS", help="(3600)"
    )
    listing = console.add_action(actions, "list", "show the hubs, and how the last pull went", show)
    listing.add_argument("--json", action="store_true", help="print JSON")
    end = console.add_action(actions, "remove", "follow a hub no longer", remove)
    end.add_argument("number", type=int, metavar="NUMBER", help="what was pulled stays")
    pull = console.add_action(actions, "run", "pull now, from one hub or from all", pull_now)
    pull.add_argument("number", type=int, nargs="?", metavar="NUMBER")


def add(hub: Hub, options: Mapping[str, Any]) -> None:
    """Follow a hub."""
    given = (options[key] for key in ("user", "urls", "pattern", "every"))
    number = Mirrors(hub).add(CONSOLE, *given)
    console.talk(f"mirror {number} is added")


def show(hub: Hub, options: Mapping[str, Any]) -> None:
    """Print the table."""
    rows = [describe(mirror) for mirror in Mirrors(hub).list_all()]
    console.show(rows, is_json=options["json"])


def describe(mirror: Mirror) -> dict[str, Any]:
    """Return what is shown of a mirror."""
    return {
        "number": mirror.id,
        "urls": mirror.urls,
        "pattern": mirror.pattern,
        "user": mirror.created_by,
        "every": f"{mirror.interval_s:g} s",
        "pulled": console.show_time(mirror.checked_s or None),
        "message": mirror.message,
    }


def remove(hub: Hub, options: Mapping[str, Any]) -> None:
    """Follow a hub no longer."""
    Mirrors(hub).remove(CONSOLE, options["number"])


def pull_now(hub: Hub, options: Mapping[str, Any]) -> None:
    """Pull. Raises `FlistError` if a flist could not be had."""
    mirrors = Mirrors(hub)
    number = options["number"]
    rows = mirrors.list_all() if number is None else [mirrors.find(number)]
    results = [mirrors.run(row, console.talk) for row in rows]
    if any(done is None or done.faults for done in results):
        raise FlistError("not all flists could be pulled", hint="`zos hub mirror list` says why")
