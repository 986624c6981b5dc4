"""Write a stored file to where it was stored from, verified and all at once."""

import argparse

from zstor.commands.shared import parse_path, progress, warn
from zstor.pipeline.files import find_path, retrieve_stored
from zstor.pipeline.vault import Vault

NAME = "retrieve"
HELP = "write a stored file to where it was stored from"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-f", "--file", type=parse_path, required=True, help="path of the file")
    parser.add_argument(
        "-o", "--output", type=parse_path, metavar="FILE", help="write it to FILE instead"
    )


def run(vault: Vault, options: argparse.Namespace) -> int:
    """Write the file."""
    stored = find_path(vault, options.file)
    warn(stored)
    with progress(options.file.name, stored.size) as watch:
        retrieve_stored(vault, stored, options.output, watch)
    return 0
