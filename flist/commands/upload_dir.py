"""Send the files of a directory to a server; prints `name  path` of each.

With --create-flist the directory is packed, too: its encrypted blocks go to the same server, and
so does the flist, for `download-dir`; --flist-output keeps it here as well.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from common.errors import UsageError
from common.text import printable
from flist.commands.server_options import add_upload, connected
from flist.commands.values import parse_path
from flist.format.writer import check_output
from flist.model import Route
from flist.pack.pack import pack
from flist.server.transfer import upload

FLIST_NAME = "directory.fl"


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
        name = send_flist(options, options.flist_output)
        sys.stdout.write(f"{name}  {options.flist_output or FLIST_NAME}\n")
    return 0


def send_flist(options: argparse.Namespace, output: Path | None = None) -> str:
    """Pack a directory, its blocks and the flist itself to a server; return the flist's name."""
    with (
        tempfile.TemporaryDirectory(prefix="flist-") as folder,
        connected(options.server, options.token) as client,
    ):
        meta = output or Path(folder) / FLIST_NAME
        create_flist(options.folder, meta, options.server, options.token)
        return upload(client, meta, options.block_size)


def create_flist(folder: Path, output: Path, server: str, token: str) -> None:
    """Pack a directory, its blocks to a server."""
    url = f"server://{server.rstrip('/')}" + (f"?token={token}" if token else "")
    pack(folder, output, [Route(0, 255, url)])
