"""Show the statistics of a mount: blocks from memory, cache and stores, bytes, and times."""

import argparse
import json
import sys

from flist.mount.control import ask_mount
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--json", action="store_true")
    parser.add_argument("target", type=parse_path, metavar="MOUNTPOINT")


def run(options: argparse.Namespace) -> int:
    """Print the numbers."""
    answer = ask_mount(options.target, {"command": "stats"})
    if options.json:
        sys.stdout.write(json.dumps(answer) + "\n")
    else:
        sys.stdout.write("".join(f"{key}: {value}\n" for key, value in answer.items()))
    return 0
