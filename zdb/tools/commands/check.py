"""`zos zdb check`: compute everything again from the data, and name all damage."""

import argparse
import dataclasses
import json
import sys

from zdb.tools.checking import Report, check
from zdb.tools.commands.shared import Line, add_folders, add_names, folders_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_folders(parser)
    add_names(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Check, and return 1 if anything is damaged."""
    with Line() as line:
        reports = check(folders_of(options), options.names, line.show)
    if options.json:
        rows = [dataclasses.asdict(report) for report in reports]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        for report in reports:
            sys.stdout.write(text(report))
    return int(any(report.findings for report in reports))


def text(report: Report) -> str:
    """Return a report for people."""
    state = "" if report.is_closed else "; not closed properly, opening completes its index"
    head = f"{report.name}: {report.entries} keys, {report.data_bytes} bytes{state}\n"
    lines = [f"  {finding}\n" for finding in report.findings]
    lines += [f"  and {report.left_out} more\n"] if report.left_out else []
    return head + "".join(lines)
