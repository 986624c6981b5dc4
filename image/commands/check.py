"""`zos image check`: find mistakes in a profile, and modules whose firmware is missing."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from image.commands.shared import add_profile, show_progress

if TYPE_CHECKING:
    from image.commands.shared import Verbs
    from image.release.check import Report


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    check = verbs.add_parser(
        "check",
        help="find mistakes in a profile, and modules whose firmware is missing",
        description="Read a profile, check its services, choose its kernel modules, and name each "
        "module whose firmware is in none of the packages. The exit status is 1 for a lack that "
        "the profile's firmware_absent does not list.",
    )
    add_profile(check)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Check a profile and print what was found."""
    from image.release.check import check_profile

    with show_progress() as progress:
        report = check_profile(args.profile, progress)
    sys.stdout.write(render_json(report) if args.json else render_text(report))
    return 1 if report.unknown else 0


def render_json(report: "Report") -> str:
    """Return the report as one JSON object."""
    value = {
        "profile": report.profile,
        "modules": report.modules,
        "firmware": report.has_firmware,
        "missing": [
            {"module": lack.module, "firmware": lack.name, "known": lack.is_known}
            for lack in report.lacks
        ],
    }
    return json.dumps(value, indent=2) + "\n"


def render_text(report: "Report") -> str:
    """Return the report as lines for people."""
    lines = [f"{report.profile}: {report.modules} kernel modules"]
    if not report.has_firmware:
        names = len({lack.name for lack in report.lacks})
        lines.append(f"  the profile has no firmware; its modules name {names} files of it")
    for lack in report.lacks:
        why = " (Debian does not have it)" if lack.is_known else ""
        lines.append(f"  {lack.module}: no firmware {lack.name}{why}")
    return "\n".join(lines) + "\n"
