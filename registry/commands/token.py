"""`zos registry token`: makes, lists and revokes tokens with which farms may be registered."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from registry.commands.shared import add_state_flags, opened, talk
from registry.errors import AbsentError
from registry.settings import RegistrySettings
from registry.state.opening import SCOPES
from serving.tokens import Tokens

NAME, HELP = "token", "make, list and revoke tokens with which farms may be registered"
DAYS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments beside the settings."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--create", metavar="NAME", help="make a token and print it, this once")
    what.add_argument("--list", action="store_true", help="list all tokens as JSON")
    what.add_argument("--revoke", metavar="ID", help="make a token invalid at once")
    parser.add_argument(
        "--days", type=int, default=DAYS, metavar="N", help=f"until it expires ({DAYS}); 0: never"
    )
    add_state_flags(parser)


def run(settings: RegistrySettings, options: dict[str, Any]) -> int:
    """Do what is asked for."""
    with opened(settings) as registry:
        tokens = registry.tokens
        if options["create"]:
            text = tokens.create(options["create"], SCOPES, options["days"])
            talk("this is the only time that the token is shown")
            sys.stdout.write(f"{text}\n")
        elif options["revoke"]:
            revoke(tokens, options["revoke"])
        else:
            sys.stdout.write(json.dumps(describe(tokens), indent=2) + "\n")
    return 0


def revoke(tokens: Tokens, mark: str) -> None:
    """Make a token invalid. Raises `AbsentError`."""
    if not tokens.revoke(mark):
        raise AbsentError(
            f"there is no token {mark!r}", hint="`zos registry token --list` shows the ids"
        )


def describe(tokens: Tokens) -> list[dict[str, Any]]:
    """Return all tokens."""
    now_s = time.time()
    return [asdict(token) | {"state": token.find_fault(now_s) or "valid"}
            for token in tokens.list_all()]  # fmt: skip
