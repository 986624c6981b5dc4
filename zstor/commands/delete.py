"""Delete a stored file from the backends; the file itself, if there is one, stays."""

import argparse

from zstor.commands.shared import parse_path
from zstor.pipeline.files import delete_path
from zstor.pipeline.vault import Vault

NAME = "delete"
HELP = "delete a stored file from the backends"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-f", "--file", type=parse_path, required=True, help="path of the file")


def run(vault: Vault, options: argparse.Namespace) -> int:
    """Delete what is stored."""
    delete_path(vault, options.file)
    return 0
