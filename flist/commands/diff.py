"""Show the differences between two flists: + added, - removed, M modified, with what changed.

The status is 0 if there are none, 1 if there are some, and 2 after an error.
"""

import argparse
import json
import sys

from flist.commands.shared.output import one_line
from flist.errors import FlistError
from flist.format.diff import compare
from flist.format.nodes import load_nodes
from flist.format.opening import open_flist
from flist.values import parse_path

TROUBLE = 2  # as in diff(1): a script must not mistake an error for a difference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("old", type=parse_path, metavar="OLD")
    parser.add_argument("new", type=parse_path, metavar="NEW")
    parser.add_argument("--json", action="store_true", help="one object per line")


def run(options: argparse.Namespace) -> int:
    """Print the differences."""
    try:
        with open_flist(options.old) as old, open_flist(options.new) as new:
            changes = list(compare(load_nodes(old), load_nodes(new)))
    except FlistError as error:
        error.exit_code = TROUBLE
        raise
    for change in changes:
        if options.json:
            path = change.path.decode(errors="surrogateescape")
            row = {"kind": change.kind, "path": path, "fields": change.fields}
            sys.stdout.write(json.dumps(row) + "\n")
        else:
            fields = f" ({', '.join(change.fields)})" if change.fields else ""
            sys.stdout.write(f"{change.kind} {one_line(change.path)}{fields}\n")
    return 1 if changes else 0
