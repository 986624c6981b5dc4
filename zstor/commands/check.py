"""Print the checksum of a stored file (BLAKE2b; 16 bytes in upstream's format, else 32)."""

import argparse
import sys

from zstor.commands.shared import parse_path, print_json, warn
from zstor.pipeline.files import find_path
from zstor.pipeline.vault import Vault

NAME = "check"
HELP = "print the checksum of a stored file; fail if it is not stored"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-f", "--file", type=parse_path, required=True, help="path of the file")
    parser.add_argument("--json", action="store_true", help="print all that is known as JSON")


def run(vault: Vault, options: argparse.Namespace) -> int:
    """Print the checksum."""
    stored = find_path(vault, options.file)
    warn(stored)
    if options.json:
        print_json(stored._asdict())
    else:
        sys.stdout.write(f"{stored.checksum}\n")
    return 0
