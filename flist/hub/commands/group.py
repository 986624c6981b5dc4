"""`zos hub group`: groups of users, which own repositories together."""

import argparse
from collections.abc import Mapping
from typing import Any

from flist.hub.accounts.accounts import GROUP
from flist.hub.accounts.administration import CONSOLE
from flist.hub.commands import console
from flist.hub.library.hub import Hub

NAME, HELP = "group", "make, list, change and remove groups"
run = console.run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = console.add_actions(parser)
    listing = console.add_action(actions, "list", "list all groups", list_groups)
    listing.add_argument("--json", action="store_true", help="print JSON")
    add = console.add_action(actions, "add", "make a group", create)
    remove_ = console.add_action(actions, "remove", "remove a group", remove)
    joining = console.add_action(actions, "join", "make users members", join)
    leaving = console.add_action(actions, "leave", "take users out", leave)
    for action in (add, remove_, joining, leaving):
        action.add_argument("name", metavar="GROUP")
    for action in (joining, leaving):
        action.add_argument("users", metavar="USER", nargs="+")


def list_groups(hub: Hub, options: Mapping[str, Any]) -> None:
    """Print all groups with their members."""
    groups = [account for account in hub.administration.list(CONSOLE) if account.kind == GROUP]
    rows = [
        {"name": group.name, "members": list(hub.accounts.members(group.name))} for group in groups
    ]
    console.show(rows, is_json=options["json"])


def create(hub: Hub, options: Mapping[str, Any]) -> None:
    """Make a group."""
    hub.administration.create(CONSOLE, options["name"], kind=GROUP)


def remove(hub: Hub, options: Mapping[str, Any]) -> None:
    """Remove a group."""
    hub.accounts.members(options["name"])  # it is a group
    hub.administration.delete(CONSOLE, options["name"])


def join(hub: Hub, options: Mapping[str, Any]) -> None:
    """Make users members of a group."""
    for user in options["users"]:
        hub.administration.add_member(CONSOLE, options["name"], user)


def leave(hub: Hub, options: Mapping[str, Any]) -> None:
    """Take users out of a group."""
    for user in options["users"]:
        hub.administration.remove_member(CONSOLE, options["name"], user)
