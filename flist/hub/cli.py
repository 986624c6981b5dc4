"""`zos hub`: serve flists and their blocks over HTTP."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common import serving
from common.errors import UsageError
from flist.hub.app import create_app

DEFAULT_LISTEN = "127.0.0.1:8081"


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command of the hub."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve_parser = commands.add_parser("serve", help="serve a hub folder until SIGTERM or Ctrl-C")
    serve_parser.add_argument(
        "root", type=Path, metavar="ROOT", help="folder with flists/<repo>/<name>.fl and blocks/"
    )
    serve_parser.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT",
        help=f"default {DEFAULT_LISTEN}; port 0 takes a free one",
    )  # fmt: skip
    options = parser.parse_args(argv)
    return serve(options.root, options.listen)


def serve(root: Path, listen: str) -> int:
    """Serve `root`; prints the URL when it can be reached."""
    if not root.is_dir():
        raise UsageError(f"cannot serve {root}: it is not a directory")
    listener = serving.open_listener(*serving.parse_address(listen))

    def announce() -> None:
        sys.stdout.write(f"{serving.own_url(listener)}/\n")
        sys.stdout.flush()

    serving.serve(create_app(root), listener, announce, log_level="warning", access_log=False)
    return 0
