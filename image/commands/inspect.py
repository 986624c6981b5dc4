"""`zos image inspect`: list what an initramfs contains, or what its parts cost."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from image.release.listing import describe_member, read_initramfs, render_member

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    look = verbs.add_parser(
        "inspect",
        help="list the files of an initramfs",
        description="List the files of an initramfs: of all its archives, which zstd and cpio do "
        "not show.",
    )
    look.add_argument(
        "path", type=Path, metavar="PATH", help="an initramfs, a UKI, or a release's folder"
    )
    look.add_argument(
        "--size", action="store_true", help="print what each part costs instead, as a tree"
    )
    look.add_argument("--json", action="store_true", help="print JSON")
    look.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Print what an initramfs contains, or what it costs."""
    if args.size:
        return print_sizes(args)
    members = read_initramfs(args.path)
    if args.json:
        value = [describe_member(member) for member in members]
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        sys.stdout.writelines(map(render_member, members))
    return 0


def print_sizes(args: argparse.Namespace) -> int:
    """Print what each part of a release costs."""
    from image.release.sizes import describe_cost, measure_release, render_cost

    cost = measure_release(args.path)
    if args.json:
        sys.stdout.write(json.dumps(describe_cost(cost), indent=2) + "\n")
    else:
        sys.stdout.writelines(render_cost(cost))
    return 0
