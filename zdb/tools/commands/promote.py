"""`zos zdb promote`: make the folders of a replica, which is stopped, those of a server."""

import argparse
import sys

from zdb.storage import replica
from zdb.tools.commands.shared import add_folders, folders_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_folders(parser)


def run(options: argparse.Namespace) -> int:
    """Promote; say which master was followed."""
    folders = folders_of(options)
    with folders.locked():
        origin = replica.promote(folders.index)
    sys.stdout.write(f"was a replica of {origin.master}\n" if origin else "not a replica\n")
    return 0
