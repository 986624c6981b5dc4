"""`zos image diff`: explain what differs between two releases."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import EXIT_USAGE, ZosError
from common.text import printable

if TYPE_CHECKING:
    from image.commands.shared import Verbs
    from image.compare.model import Difference

SAME, DIFFERS = 0, 1


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    diff = verbs.add_parser(
        "diff",
        help="explain what differs between two releases",
        description="Explain what differs between two releases: packages, kernel modules, files "
        "with their modes and owners, and where their content differs. The exit status is 0 if "
        "nothing differs, 1 if something does, and 2 on an error.",
    )
    for name in ("A", "B"):
        diff.add_argument(
            name.lower(),
            type=Path,
            metavar=name,
            help="the folder of a release, an initramfs, or an EFI binary (UKI)",
        )
    diff.add_argument("--json", action="store_true", help="print a list of JSON objects")
    diff.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Print what differs."""
    from image.compare.releases import compare
    from image.compare.sides import read_side

    try:
        found = compare(read_side(args.a), read_side(args.b))
    except ZosError as error:
        error.exit_code = EXIT_USAGE  # as diff(1) has it: 1 means that something differs
        raise
    if args.json:
        sys.stdout.write(json.dumps([one.as_json() for one in found], indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for one in found for line in render(one))
    return DIFFERS if found else SAME


def render(difference: "Difference") -> Iterator[str]:
    """Yield the lines about one difference for people; names may be hostile."""
    name = printable(difference.name)
    short = [c for c in difference.changes if not c.lines]
    words = ", ".join(f"{c.field} {printable(c.old)} -> {printable(c.new)}" for c in short)
    if difference.kind in ("manifest", "package"):
        (change,) = difference.changes
        words = printable(" -> ".join(filter(None, (change.old, change.new))))
    yield f"{difference.what} {difference.kind} {name}".rstrip() + (f": {words}" if words else "")
    for change in difference.changes:
        if change.lines:
            yield f"  {change.field}, {change.old} -> {change.new}"
            yield from (f"    {line}" for line in change.lines)
