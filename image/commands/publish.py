"""`zos image publish`: put a release into the store and onto a channel."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common.runmodes import RUN_MODES
from image.commands.shared import parse_folder, show_progress
from image.commands.store import (
    add_reason,
    add_signing,
    add_waves,
    read_place,
    read_reason,
    read_waves,
)

if TYPE_CHECKING:
    from image.commands.shared import Verbs

DEFAULT_RELEASE = Path("release")


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "publish",
        help="put a release onto a channel",
        description="Copy a release into the store, and sign that a channel holds it from now on.",
    )
    add_signing(parser)
    parser.add_argument("--channel", required=True, choices=tuple(RUN_MODES), help="channel")
    parser.add_argument(
        "--release",
        type=parse_folder,
        default=DEFAULT_RELEASE,
        metavar="DIR",
        help="folder of the release (default: %(default)s)",
    )
    add_waves(parser)
    add_reason(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Publish a release."""
    from common.releases.manifest import MAX_BYTES, NAME, demand_fit, parse_manifest
    from image.channel.actions import publish
    from image.channel.repository import Change, Repository
    from image.files import read_file
    from image.release.store import add_release

    reason = read_reason(args)
    waves = read_waves(args, reason.now)

    def make(repository: Repository) -> Change:
        demand_fit(parse_manifest(read_file(args.release / NAME, MAX_BYTES)), args.channel)
        with show_progress() as progress:
            manifest = add_release(repository.layout, args.release, progress)
        return publish(repository, args.channel, manifest.version, reason, waves)

    with read_place(args) as place:
        change = place.change(f"publishing to {args.channel}", make)
    sys.stdout.write(f"done: {change.what}\n")
    return 0
