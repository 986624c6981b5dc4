"""`zos image history`: who changed a channel, when and why."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from image.commands.store import add_channel, add_store, read_place

if TYPE_CHECKING:
    from image.channel.history import Entry
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "history",
        help="show who changed a channel, when and why",
        description="Show the signed history of a channel, oldest change first.",
    )
    add_channel(parser, "channel")
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Print the history of a channel."""
    with read_place(args) as place:
        entries = place.open().entries(args.channel)
    if args.json:
        sys.stdout.write(json.dumps([asdict(entry) for entry in entries], indent=2) + "\n")
    else:
        sys.stdout.writelines(map(render, entries))
    return 0


def render(entry: "Entry") -> str:
    """Return one change as a line for people."""
    source = f" from {entry.source}" if entry.source else ""
    then = f", now {entry.release or 'nothing'}" if entry.release != entry.subject else ""
    why = f": {entry.why}" if entry.why else ""
    why = f" in waves {entry.waves}{why}" if entry.waves else why
    number = f"{entry.sequence:>4}"
    return f"{number} {entry.at} {entry.by} {entry.action} {entry.subject}{source}{then}{why}\n"
