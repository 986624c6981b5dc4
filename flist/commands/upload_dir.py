"""Send the files of a directory to a server; prints `name  path` of each.

With --create-flist the directory is packed, too: its encrypted blocks go to the same server.
"""

import argparse
import sys
from pathlib import Path

from common.errors import UsageError
from flist.commands.server_options import add_block_size, add_server, add_token, connected
from flist.model import Route
from flist.pack import pack
from flist.server_client import upload


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    add_block_size(parser)
    add_token(parser)
    parser.add_argument("--create-flist", action="store_true")
    parser.add_argument("--flist-output", type=Path, metavar="FILE")
    parser.add_argument("folder", type=Path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Upload."""
    if options.create_flist != bool(options.flist_output):
        raise UsageError("--create-flist and --flist-output FILE belong together")
    paths = sorted(p for p in options.folder.rglob("*") if p.is_file() and not p.is_symlink())
    with connected(options.server, options.token) as client:
        for path in paths:
            name = upload(client, path, options.block_size)
            sys.stdout.write(f"{name}  {path.relative_to(options.folder)}\n")
    if options.create_flist:
        create_flist(options.folder, options.flist_output, options.server, options.token)
    return 0


def create_flist(folder: Path, output: Path, server: str, token: str) -> None:
    """Pack a directory, its blocks to a server."""
    url = f"server://{server.rstrip('/')}" + (f"?token={token}" if token else "")
    pack(folder, output, [Route(0, 255, url)])
