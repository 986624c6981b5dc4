"""Packs a directory for a server: its encrypted blocks go there, and the flist too if wanted."""

import tempfile
from pathlib import Path

from flist.commands.shared.servers import connected
from flist.model import Route
from flist.pack.pack import pack
from flist.server import kept
from flist.server.transfer import upload

FLIST_NAME = "directory.fl"


def create_flist(folder: Path, output: Path, server: str, token: str) -> None:
    """Pack `folder` into the flist `output`, its blocks to a server."""
    token = token or kept.find_token(server)
    url = f"server://{server.rstrip('/')}" + (f"?token={token}" if token else "")
    pack(folder, output, [Route(0, 255, url)])


def send_flist(
    folder: Path, server: str, token: str, block_size: int, output: Path | None = None
) -> str:
    """Pack `folder`, its blocks and the flist itself to a server; return the flist's name there.

    The flist is kept as `output` if that is given.
    """
    with (
        tempfile.TemporaryDirectory(prefix="flist-") as scratch,
        connected(server, token) as client,
    ):
        meta = output or Path(scratch) / FLIST_NAME
        create_flist(folder, meta, server, token)
        return upload(client, meta, block_size)
