"""Options of the commands that talk to a server."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flist.server import kept
from flist.server.client import ServerClient, open_client
from flist.server.names import DEFAULT_BLOCK_BYTES, MAX_BLOCK_BYTES
from flist.server.transfer import download
from flist.values import is_hash, parse_size, parse_token

DEFAULT_SERVER = "http://localhost:8080"


def parse_block_size(text: str) -> int:
    """Return a block size in bytes."""
    size = parse_size(text)
    if not 0 < size <= MAX_BLOCK_BYTES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a block size from 1 to {MAX_BLOCK_BYTES} bytes"
        )
    return size


def add_server(parser: argparse.ArgumentParser) -> None:
    """Add -s/--server."""
    parser.add_argument(
        "-s", "--server", default=DEFAULT_SERVER, metavar="URL", help=f"default {DEFAULT_SERVER}"
    )


def add_server_url(parser: argparse.ArgumentParser) -> None:
    """Add --server-url, upstream's option for a flist that is named by its hash."""
    parser.add_argument(
        "--server-url", default=DEFAULT_SERVER, metavar="URL",
        help=f"the server of a flist that is named by its hash (default {DEFAULT_SERVER})",
    )  # fmt: skip


@contextmanager
def local_flist(meta: Path, server_url: str) -> Iterator[Path]:
    """Yield the file `meta`, or if there is no such file, the flist with that hash."""
    if meta.exists() or not is_hash(str(meta)):
        yield meta
        return
    with fetched_flist(str(meta), server_url) as place:
        yield place


@contextmanager
def fetched_flist(name: str, server_url: str) -> Iterator[Path]:
    """Download the flist with the hash `name`; yield its path, which exists inside the block."""
    with tempfile.TemporaryDirectory(prefix="flist-") as folder, connected(server_url) as client:
        place = Path(folder) / f"{name}.fl"
        download(client, name, place)
        yield place


def add_token(parser: argparse.ArgumentParser) -> None:
    """Add --token."""
    parser.add_argument(
        "--token", type=parse_token, default=os.environ.get("RFS_TOKEN", ""),
        help="default: $RFS_TOKEN, or the one of `login`",
    )  # fmt: skip


def add_block_size(parser: argparse.ArgumentParser) -> None:
    """Add -b/--block-size."""
    parser.add_argument(
        "-b", "--block-size", type=parse_block_size, default=DEFAULT_BLOCK_BYTES, metavar="BYTES",
        help="default 1M",
    )  # fmt: skip


def add_upload(parser: argparse.ArgumentParser) -> None:
    """Add the options of an upload: server, block size, token."""
    add_server(parser)
    add_block_size(parser)
    add_token(parser)


@contextmanager
def connected(url: str, token: str = "") -> Iterator[ServerClient]:
    """Yield a client of the server at `url`, and close it at the end of the block.

    Without a token it uses the one that `login` has kept.
    """
    client = open_client(url, token or kept.find_token(url))
    try:
        yield client
    finally:
        client.close()
