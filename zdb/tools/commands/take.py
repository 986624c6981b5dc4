"""`zos zdb import`: do the requests that `zos zdb export` wrote."""

import argparse
import sys
from pathlib import Path
from typing import BinaryIO

from common.files import open_regular
from zdb.tools.commands.shared import Line, add_folders, folders_of
from zdb.tools.importing import import_requests


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_folders(parser)
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="(stdin)")


def run(options: argparse.Namespace) -> int:
    """Import, and say how many values were set."""
    if options.file is None:
        return read(options, sys.stdin.buffer)
    with open_regular(options.file) as stream:
        return read(options, stream)


def read(options: argparse.Namespace, stream: BinaryIO) -> int:
    """Read an open file."""
    with Line() as line:
        count = import_requests(folders_of(options), stream, line.show)
    sys.stderr.write(f"{count} keys\n")
    return 0
