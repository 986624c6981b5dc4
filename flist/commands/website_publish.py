"""Publish a directory as a website on a server; prints its address.

The directory is packed and sent to the server, blocks and flist. The server serves the files under
/website/<hash of the flist>/.
"""

import argparse
import sys

from common.errors import UsageError
from flist.commands.shared.send import send_flist
from flist.commands.shared.servers import add_upload
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_upload(parser)
    parser.add_argument("folder", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Publish."""
    if not options.folder.is_dir():
        raise UsageError(f"cannot publish {options.folder}: it is not a directory")
    if not (options.folder / "index.html").is_file():
        sys.stderr.write("there is no index.html: the address itself will show nothing\n")
    name = send_flist(options.folder, options.server, options.token, options.block_size)
    sys.stdout.write(f"{options.server.rstrip('/')}/website/{name}/\n")
    return 0
