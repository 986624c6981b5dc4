"""`zos hub audit`: who has changed what, and when."""

import argparse
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from common.errors import UsageError
from flist.hub.commands import console
from flist.hub.library.hub import Hub
from flist.hub.state.audit import Audit, Event

NAME, HELP = "audit", "show who has changed what, and when"
run = console.run
LINES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    console.add_state_flags(parser)
    parser.set_defaults(call=show)
    parser.add_argument("--subject", default="", metavar="NAME", help="of what begins with this")
    parser.add_argument("--account", default="", metavar="NAME", help="of what this account did")
    parser.add_argument("--action", default="", metavar="WORD", help="such as token, flist.publish")
    parser.add_argument(
        "--lines", type=int, default=LINES, metavar="N", help=f"the newest N ({LINES}); 0: all"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def show(hub: Hub, options: Mapping[str, Any]) -> None:
    """Print the newest lines, the newest last."""
    if options["lines"] < 0:
        raise UsageError(f"cannot show {options['lines']} lines", hint="0 shows all")
    chosen = {key: options[key] for key in ("subject", "account", "action")}
    found = list(islice(every_line(hub.audit, chosen), options["lines"] or None))
    console.show([describe(event) for event in reversed(found)], is_json=options["json"])


def every_line(audit: Audit, chosen: Mapping[str, str]) -> Iterator[Event]:
    """Yield all lines, the newest first."""
    page = audit.page(**chosen)  # type: ignore[arg-type]
    while page:
        yield from page
        page = audit.page(before=page[-1].id, **chosen)  # type: ignore[arg-type]


def describe(event: Event) -> dict[str, Any]:
    """Return what is shown of a line."""
    return {
        "at": console.show_time(event.at_s),
        "account": event.account,
        "address": event.address,
        "action": event.action,
        "subject": event.subject,
        "detail": event.detail,
    }
