"""The `server` store: blocks behind upstream's rfs server, or our hub, which has the same API.

    server://http://host:port?token=TOKEN

Blocks are encrypted before they are sent, so the server's hash of what it receives is the block's
id.
"""

import os
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from common.errors import UsageError
from flist.server import kept
from flist.server.api import block_path
from flist.server.client import ServerClient
from flist.store.http import HttpStore

PREFIX = "server://"


class ServerStore(HttpStore):
    """Blocks behind a server that also accepts them."""

    def __init__(self, url: str, token: str = "") -> None:
        super().__init__(url)
        self.server = ServerClient(self.client, token)

    def paths(self, block_id: bytes) -> Sequence[str]:
        """Return where a block is."""
        return (block_path(block_id.hex()),)

    def missing(self, block_ids: Sequence[bytes]) -> set[bytes]:
        """Return which blocks are not there.

        Upstream's server calls those missing that other users uploaded. So the first one that it
        names is checked by itself: if that is there, the others are checked as well.
        """
        named = [bytes.fromhex(name) for name in self.server.verify([b.hex() for b in block_ids])]
        if not named or not self.has(named[0]):
            return set(named)
        return {block_id for block_id in named[1:] if not self.has(block_id)}

    def put(self, block_id: bytes, data: bytes) -> None:
        """Upload a block."""
        self.server.put_block(data, block_id.hex(), 0)


def open_store(url: str) -> ServerStore:
    """Return the store at `url`; the token may also be in $RFS_TOKEN, or from `login`."""
    inner = url.removeprefix(PREFIX)
    if urlsplit(inner).scheme not in ("http", "https"):
        raise UsageError(
            f"cannot open store {url!r}: it names no http:// or https:// address",
            hint="server://http://host:port?token=T",
        )
    parts = urlsplit(inner)
    server = parts._replace(query="").geturl()
    named = parse_qs(parts.query).get("token", [os.environ.get("RFS_TOKEN", "")])[0]
    return ServerStore(server, named or kept.find_token(server))
