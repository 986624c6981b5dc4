"""`zos hub token`: the tokens of users."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from flist.hub.accounts.accounts import USER
from flist.hub.accounts.administration import CONSOLE
from flist.hub.accounts.tokens import DEFAULT_DAYS, Token
from flist.hub.commands import console
from flist.hub.library.hub import Hub
from flist.hub.state.viewer import SCOPES

NAME, HELP = "token", "make, list and revoke tokens"
run = console.run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = console.add_actions(parser)
    make = console.add_action(actions, "create", "make a token and print it, this once", create)
    make.add_argument("user", metavar="USER", help="whose token it is")
    make.add_argument("name", metavar="NAME", help="what it is for")
    make.add_argument(
        "--scope", action="append", required=True, metavar="SCOPE",
        help=f"{', '.join(SCOPES)}; can be repeated",
    )  # fmt: skip
    make.add_argument("--repository", metavar="NAME", help="the only one that it is for")
    make.add_argument(
        "--days", type=float, default=DEFAULT_DAYS, metavar="N",
        help=f"until it expires ({DEFAULT_DAYS}); 0: never",
    )  # fmt: skip
    listing = console.add_action(actions, "list", "list the tokens of all users, or one", show)
    listing.add_argument("user", metavar="USER", nargs="?")
    listing.add_argument("--json", action="store_true", help="print JSON")
    end = console.add_action(actions, "revoke", "make a token invalid at once", revoke)
    end.add_argument("id", metavar="ID", help="the second part of the token")


def create(hub: Hub, options: Mapping[str, Any]) -> None:
    """Print a new token."""
    text = hub.administration.create_token(
        CONSOLE, options["user"], options["name"], options["scope"], options["days"],
        options["repository"],
    )  # fmt: skip
    console.talk("this is the only time that the token is shown")
    sys.stdout.write(f"{text}\n")


def show(hub: Hub, options: Mapping[str, Any]) -> None:
    """Print the tokens of one user, or of all."""
    accounts = hub.administration.list(CONSOLE)
    users = [options["user"]] if options["user"] else [
        account.name for account in accounts if account.kind == USER
    ]  # fmt: skip
    now_s = hub.tokens.clock()
    rows = [
        {"user": user, **describe(token, now_s)}
        for user in users
        for token in hub.administration.list_tokens(CONSOLE, user)
    ]
    console.show(rows, is_json=options["json"])


def describe(token: Token, now_s: float) -> dict[str, Any]:
    """Return what is shown of a token."""
    return {
        "id": token.id,
        "state": token.find_fault(now_s) or "valid",
        "scopes": list(token.scopes),
        "repository": token.repository,
        "created": console.show_time(token.created_s),
        "expires": console.show_time(token.expires_s),
        "name": token.name,
    }


def revoke(hub: Hub, options: Mapping[str, Any]) -> None:
    """Make a token invalid."""
    hub.administration.revoke_token(CONSOLE, options["id"])
