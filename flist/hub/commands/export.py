"""`zos hub export`: what is public, as files for a web server or a CDN."""

import argparse
import sys
from typing import Any

from flist.hub.commands import console
from flist.hub.commands.shared import opened
from flist.hub.settings import HubSettings

NAME, HELP = "export", "write public flists and their blocks to a folder or a bucket"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    console.add_state_flags(parser)
    parser.add_argument(
        "--pattern", default="*", metavar="PATTERN", help="flists, as REPO/NAME.fl with * and ?"
    )
    parser.add_argument(
        "--prune", action="store_true", help="remove from the target what the hub does not have"
    )
    parser.add_argument("target", metavar="DIR|s3://KEY:SECRET@HOST:PORT/BUCKET")


def run(settings: HubSettings, options: dict[str, Any]) -> int:
    """Export."""
    from flist.hub.mirror.export import Exporter
    from flist.hub.mirror.targets import open_target

    target = open_target(options["target"])
    with opened(settings) as hub:
        exporter = Exporter(hub, target, console.talk)
        done = exporter.run(options["pattern"], is_pruning=options["prune"])
    sys.stdout.write(done.describe() + "\n")
    return 0
