"""Send the files of a directory to a server; prints `name  path` for each.

With --create-flist the directory is also packed: its encrypted blocks and the flist go to the same
server, for `download-dir`. --flist-output keeps a copy of the flist here.
"""

import argparse
import sys

from common.errors import UsageError
from common.text import printable
from flist.commands.shared.send import FLIST_NAME, send_flist
from flist.commands.shared.servers import add_upload, connected
from flist.format.writer import check_output
from flist.server.transfer import upload
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_upload(parser)
    parser.add_argument("--create-flist", action="store_true")
    parser.add_argument("--flist-output", type=parse_path, metavar="FILE")
    parser.add_argument("folder", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Upload."""
    if options.flist_output and not options.create_flist:
        raise UsageError("cannot write --flist-output FILE", hint="it needs --create-flist")
    if not options.folder.is_dir():
        raise UsageError(f"cannot upload {options.folder}: it is not a directory")
    if options.flist_output:
        check_output(options.flist_output)
    paths = sorted(p for p in options.folder.rglob("*") if not p.is_symlink() and p.is_file())
    with connected(options.server, options.token) as client:
        for path in paths:
            name = upload(client, path, options.block_size)
            sys.stdout.write(f"{name}  {printable(str(path.relative_to(options.folder)))}\n")
    if options.create_flist:
        name = send_flist(
            options.folder, options.server, options.token, options.block_size, options.flist_output
        )
        sys.stdout.write(f"{name}  {options.flist_output or FLIST_NAME}\n")
    return 0
