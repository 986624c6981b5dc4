"""Options of the commands that talk to a server."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from flist.commands.options import parse_size
from flist.server_client import DEFAULT_BLOCK_BYTES, MAX_BLOCK_BYTES, ServerClient

DEFAULT_SERVER = "http://localhost:8080"


def parse_block_size(text: str) -> int:
    """Return a size that a block may have."""
    size = parse_size(text)
    if not 0 < size <= MAX_BLOCK_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is no size for a block")
    return size


def add_server(parser: argparse.ArgumentParser) -> None:
    """Add -s/--server."""
    parser.add_argument("-s", "--server", default=DEFAULT_SERVER, metavar="URL")


def add_token(parser: argparse.ArgumentParser) -> None:
    """Add --token."""
    parser.add_argument(
        "--token", default=os.environ.get("RFS_TOKEN", ""), help="default: $RFS_TOKEN"
    )


def add_block_size(parser: argparse.ArgumentParser) -> None:
    """Add -b/--block-size."""
    parser.add_argument(
        "-b", "--block-size", type=parse_block_size, default=DEFAULT_BLOCK_BYTES, metavar="BYTES"
    )


@contextmanager
def connected(url: str, token: str = "") -> Iterator[ServerClient]:
    """Talk to a server for the block."""
    client = ServerClient(url.rstrip("/"), token)
    try:
        yield client
    finally:
        client.close()
