"""List the versions of a flist that a hub keeps, the published one first."""

import argparse
import json
import sys
from datetime import UTC, datetime

from flist.commands.shared.servers import add_server, connected
from flist.commands.shared.versions import Row, add_name, ask_versions

MAX_TIME_S = 1 << 35


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    parser.add_argument("--json", action="store_true", help="print the hub's list as JSON")
    add_name(parser)


def run(options: argparse.Namespace) -> int:
    """Print the list."""
    with connected(options.server) as client:
        rows = ask_versions(client, options.name)
    text = json.dumps(rows, indent=2) if options.json else "\n".join(map(show, rows))
    sys.stdout.write(f"{text}\n")
    return 0


def show(row: Row) -> str:
    """Return the line of one version."""
    seconds = min(max(row["published"], 0), MAX_TIME_S)
    published = datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    marks = [word for word in ("current", "signed") if row[f"is_{word}"]]
    return "  ".join([row["digest"], published, f"{row['size']:>10}", *marks])
