"""`zos zdb export`: write namespaces as requests, which any 0-db takes."""

import argparse
import sys
from pathlib import Path
from typing import BinaryIO

from common.files import open_atomic
from zdb.tools.commands.shared import Line, add_folders, add_names, folders_of
from zdb.tools.exporting import export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_folders(parser)
    add_names(parser)
    parser.add_argument(
        *("--output", "-o"),
        type=Path,
        metavar="FILE",
        help="instead of stdout; it has the passwords, too",
    )


def run(options: argparse.Namespace) -> int:
    """Export; return 1 if values were damaged, which are left out."""
    if options.output is None:
        return write(options, sys.stdout.buffer)
    with open_atomic(options.output, 0o600) as stream:
        return write(options, stream)


def write(options: argparse.Namespace, stream: BinaryIO) -> int:
    """Write to an open file."""
    with Line() as line:
        count, damaged = export(folders_of(options), options.names, stream, line.show)
    for text in damaged:
        sys.stderr.write(f"{text}\n")
    sys.stderr.write(f"{count} keys\n")
    return int(bool(damaged))
