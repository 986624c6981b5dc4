"""Replace the flist of a mount by another version. Open files keep their content.

If the mount demands a signature, the new flist needs one by the same keys under the same name.
"""

import argparse

from flist.commands.shared.options import add_meta
from flist.mount.control import ask_mount
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser, "the new flist")
    parser.add_argument("target", type=parse_path, metavar="MOUNTPOINT")


def run(options: argparse.Namespace) -> int:
    """Remount."""
    ask_mount(options.target, {"command": "remount", "meta": str(options.meta.absolute())})
    return 0
