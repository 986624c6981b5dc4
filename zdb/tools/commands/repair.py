"""`zos zdb repair`: make the index anew from the data."""

import argparse
import sys
from pathlib import Path

from zdb.tools.commands.shared import Line, add_folders, add_names, folders_of
from zdb.tools.repairing import repair


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_folders(parser)
    add_names(parser)
    parser.add_argument(
        "--aside", type=Path, required=True, metavar="DIR", help="where torn and bad bytes go"
    )


def run(options: argparse.Namespace) -> int:
    """Repair, and say what was done."""
    with Line() as line:
        done = repair(folders_of(options), options.names, options.aside, line.show)
    for note in done.notes:
        sys.stderr.write(f"{note}\n")
    for name, count in done.namespaces.items():
        sys.stdout.write(f"{name}: {count} keys\n")
    return 0
