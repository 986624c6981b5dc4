"""Removes the blocks that no flist and no file needs any more."""

import argparse
import dataclasses
import json
import sys
from typing import Any

from flist.hub.commands.shared import opened
from flist.hub.library.collecting import collect
from flist.hub.settings import HubSettings
from flist.values import parse_seconds
from serving.commands.line import Line

NAME, HELP = "gc", "remove the blocks that nothing needs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments beside the settings."""
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument(
        "--older-than",
        type=parse_seconds,
        metavar="SECONDS",
        help="for how long nothing has needed them (gc_older_than)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(settings: HubSettings, options: dict[str, Any]) -> int:
    """Collect; servers may run meanwhile. Status 1 if the store has refused something."""
    older_than_s = options["older_than"]
    if older_than_s is None:
        older_than_s = settings.gc_older_than
    with opened(settings) as hub, Line() as line:
        found = collect(hub, older_than_s, is_dry=options["dry_run"], progress=line.show)
    if options["json"]:
        sys.stdout.write(json.dumps(dataclasses.asdict(found)) + "\n")
    else:
        verb = "would remove" if options["dry_run"] else "removed"
        sys.stdout.write(f"{verb} {found.removed} blocks, {found.removed_bytes} bytes\n")
    for text in found.failed:
        sys.stderr.write(f"{text}\n")
    return 1 if found.failed else 0
