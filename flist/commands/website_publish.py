"""Show a directory as a website of a server; prints its address.

The directory is packed, its blocks and the flist go to the server, which gives out the files under
/website/<hash of the flist>/.
"""

import argparse
import sys

from common.errors import UsageError
from flist.commands.server_options import add_upload
from flist.commands.upload_dir import send_flist
from flist.commands.values import parse_path


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
    name = send_flist(options)
    sys.stdout.write(f"{options.server.rstrip('/')}/website/{name}/\n")
    return 0
