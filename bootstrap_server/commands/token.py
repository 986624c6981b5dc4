"""`zos bootstrap token`: make, list and revoke the tokens of the API."""

import argparse
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from bootstrap_server.commands.shared import add_state_flags, load_state_settings, talk
from bootstrap_server.errors import NotThereError

if TYPE_CHECKING:
    from bootstrap_server.commands.shared import Verbs
    from serving.tokens import Token, Tokens

DAYS = 365


def add_parser(verbs: "Verbs") -> None:
    """Add the verb with its own verbs."""
    parser = verbs.add_parser("token", help="make, list and revoke tokens of the API")
    actions = parser.add_subparsers(required=True, dest="action", metavar="ACTION")
    create = actions.add_parser("create", help="make a token and print it, this once")
    create.add_argument("name", help="who or what it is for")
    create.add_argument(
        "--scope",
        action="append",
        required=True,
        metavar="SCOPE",
        help="publish, nodes or read; can be repeated",
    )
    create.add_argument(
        "--days", type=int, default=DAYS, metavar="N", help=f"until it expires ({DAYS}); 0: never"
    )
    create.set_defaults(run=create_token)
    listing = actions.add_parser("list", help="list all tokens")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=list_tokens)
    revoke = actions.add_parser("revoke", help="make a token invalid at once")
    revoke.add_argument("id", help="the token's id, its second part")
    revoke.set_defaults(run=revoke_token)
    for action in (create, listing, revoke):
        add_state_flags(action)


def create_token(args: argparse.Namespace, _prog: str) -> int:
    """Print a new token."""
    text = open_tokens(args).create(args.name, args.scope, args.days)
    talk("this is the only time that the token is shown")
    print(text)
    return 0


def list_tokens(args: argparse.Namespace, _prog: str) -> int:
    """Print all tokens."""
    found = open_tokens(args).list_all()
    now_s = time.time()
    if args.json:
        rows = [asdict(token) | {"state": token.find_fault(now_s) or "valid"} for token in found]
        print(json.dumps(rows, indent=2))
        return 0
    for token in found:
        print(describe(token, now_s))
    return 0


def describe(token: "Token", now_s: float) -> str:
    """Return a token's line."""
    end = "never" if token.expires_s is None else day_of(token.expires_s)
    state = token.find_fault(now_s) or "valid"
    scopes = ",".join(token.scopes)
    made = day_of(token.created_s)
    return f"{token.id}  {state:7}  {made}  until {end:10}  {scopes:18}  {token.name}"


def day_of(time_s: int) -> str:
    """Return the day of a time, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(time_s))


def revoke_token(args: argparse.Namespace, _prog: str) -> int:
    """Make a token invalid."""
    if not open_tokens(args).revoke(args.id):
        raise NotThereError(
            f"there is no token {args.id!r}", hint="`zos bootstrap token list` shows the ids"
        )
    return 0


def open_tokens(args: argparse.Namespace) -> "Tokens":
    """Return the tokens in the server's state."""
    from bootstrap_server.state.opening import SCOPES, open_lasting
    from serving.tokens import Tokens

    settings = load_state_settings(args)
    return Tokens(open_lasting(settings.state, settings.database), SCOPES)
