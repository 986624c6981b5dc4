"""Pack a directory with its blocks on a server, and upload the flist itself; print its hash there.

The flist is also kept as a file on this machine.
"""

import argparse
import sys

from flist.commands.shared.send import send_flist
from flist.commands.shared.servers import add_upload
from flist.format.writer import check_output
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-o", "--output", type=parse_path, required=True, metavar="FILE")
    add_upload(parser)  # --block-size is for the flist itself; its chunks are always 512 KiB
    parser.add_argument("folder", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Pack and upload."""
    check_output(options.output)
    name = send_flist(
        options.folder, options.server, options.token, options.block_size, options.output
    )
    sys.stdout.write(f"{name}\n")
    return 0
