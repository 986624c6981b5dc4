"""Checks everything that a hub keeps, and mends it from a mirror."""

import argparse
import dataclasses
import json
import sys
from typing import Any

from flist.hub.commands.shared import opened
from flist.hub.library.checking import check_hub, open_mirror
from flist.hub.settings import HubSettings
from serving.commands.line import Line

NAME, HELP = "check", "check all blocks and files, and mend them from a mirror"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments beside the settings."""
    parser.add_argument(
        "--repair-from",
        metavar="URL|DIR",
        help="take what is missing or damaged from this hub, folder or store",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(settings: HubSettings, options: dict[str, Any]) -> int:
    """Check; servers may run meanwhile. Status 1 if something is wrong in the end."""
    place = options["repair_from"]
    with opened(settings) as hub, Line() as line:
        mirror = open_mirror(place, settings.max_block_bytes) if place else None
        report = check_hub(hub, mirror, line.show)
    if options["json"]:
        sys.stdout.write(json.dumps(dataclasses.asdict(report)) + "\n")
        return 1 if report.problems else 0
    for text in report.repaired:
        sys.stdout.write(f"mended: {text}\n")
    for text in report.problems:
        sys.stdout.write(f"{text}\n")
    sys.stdout.write(
        f"{report.blocks} blocks and {report.objects} files: {len(report.problems)} problems, "
        f"{len(report.repaired)} mended; {report.orphans} blocks belong to nothing\n"
    )
    return 1 if report.problems else 0
