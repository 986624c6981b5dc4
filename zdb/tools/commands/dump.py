"""`zos zdb dump`: print what is in a data file, an index file or a descriptor."""

import argparse
import json
import sys
from pathlib import Path

from zdb.tools.dumping import dump


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="d0, i0 or zdb-namespace, say")
    parser.add_argument("--json", action="store_true", help="print an object of JSON in each line")


def run(options: argparse.Namespace) -> int:
    """Print the file; a server may be using it."""
    for row in dump(options.file):
        line = json.dumps(row) if options.json else " ".join(f"{k}={v}" for k, v in row.items())
        sys.stdout.write(f"{line}\n")
    return 0
