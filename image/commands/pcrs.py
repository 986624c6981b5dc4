"""`zos image pcrs`: the TPM registers that a release foretells, and whether a boot met them."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    pcrs = verbs.add_parser(
        "pcrs",
        help="compare a boot's TPM registers with those that a release foretells",
        description="Print the TPM registers to which a boot of a UKI leads. With the event log of "
        "a boot, replay it and compare: the exit status is 1 if a register differs. What the log "
        "says is proven only if the TPM's own registers are those that are printed.",
    )
    pcrs.add_argument(
        "path", type=Path, metavar="PATH", help="a manifest.json, a release's folder, or a UKI"
    )
    pcrs.add_argument(
        "--event-log",
        type=Path,
        metavar="FILE",
        help="a copy of a node's /sys/kernel/security/tpm0/binary_bios_measurements",
    )
    pcrs.add_argument("--json", action="store_true", help="print one JSON object")
    pcrs.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Print the registers; return 1 if the event log leads to others."""
    from image.release.attest import Report, compare, read_forecast, read_log

    forecast = read_forecast(args.path)
    if args.event_log is None:
        rows = {when: dict(values) for when, values in forecast.items()}
        sys.stdout.write(json.dumps(rows, indent=2) + "\n" if args.json else render(rows))
        return 0
    report: Report = compare(forecast, read_log(args.event_log))
    sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n" if args.json else report.text())
    return 0 if report.is_as_foretold else 1


def render(rows: dict[str, dict[str, str]]) -> str:
    """Return the foretold registers as lines for people."""
    lines = []
    for when, values in rows.items():
        name = when.replace("_", " ")
        lines += [f"PCR {number:>2}  {value}  {name}\n" for number, value in values.items()]
    return "".join(lines)
