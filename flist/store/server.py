"""The `server` store: blocks behind upstream's rfs server, or our hub, which has the same URLs.

    server://http://host:port?token=TOKEN

GET and HEAD /api/v1/block/<hex>; POST /api/v1/block with the token as bearer, /api/v1/block/verify
to ask for many. Blocks are encrypted before they go there, so the server's hash of what it gets is
the block's id.
"""

import json
import os
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from common.errors import UsageError
from flist.errors import StoreError
from flist.store.http import HttpStore, refusal, write_refusal

PREFIX = "server://"


class ServerStore(HttpStore):
    """Blocks behind a server that also takes them."""

    def __init__(self, url: str, token: str = "") -> None:
        super().__init__(url)
        self.token = token

    def paths(self, block_id: bytes) -> Sequence[str]:
        """Return where a block is."""
        return (f"api/v1/block/{block_id.hex()}",)

    def missing(self, block_ids: Sequence[bytes]) -> set[bytes]:
        """Return which blocks are not there.

        Upstream's server takes those that other users gave it for missing, so one of those that it
        names is asked for by itself: if that is there, the others are asked for as well.
        """
        named = self.verify(block_ids)
        if not named or not self.has(named[0]):
            return set(named)
        return {block_id for block_id in named[1:] if not self.has(block_id)}

    def verify(self, block_ids: Sequence[bytes]) -> list[bytes]:
        """Return which blocks are missing according to the server; all, if it does not say."""
        rows = [{"block_hash": block_id.hex(), "file_hash": block_id.hex(), "block_index": 0}
                for block_id in block_ids]  # fmt: skip
        headers = {"Content-Type": "application/json"}
        body = json.dumps({"blocks": rows}).encode()
        status, answer = self.ask("POST", "api/v1/block/verify", body, headers)
        if status >= 500:
            raise refusal(status, self.url)
        try:
            said = json.loads(answer)["missing"] if status == 200 else None
            return [block_id for block_id in block_ids if said is None or block_id.hex() in said]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StoreError(f"cannot understand {self.url}: it answered no list") from error

    def put(self, block_id: bytes, data: bytes) -> None:
        """Give a block to the server."""
        headers = {"Content-Type": "application/octet-stream"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        path = f"api/v1/block?file_hash={block_id.hex()}&idx=0"
        status, _ = self.ask("POST", path, data, headers)
        if status in (401, 403):
            raise StoreError(f"cannot write to {self.url}: it refused the token ({status})")
        if status not in (200, 201):
            raise write_refusal(status, self.url)


def open_store(url: str) -> ServerStore:
    """Return the store at `url`; the token may also be in $RFS_TOKEN."""
    inner = url.removeprefix(PREFIX)
    if urlsplit(inner).scheme not in ("http", "https"):
        raise UsageError(
            f"cannot open store {url!r}: it names no http:// or https:// address",
            hint="server://http://host:port?token=T",
        )
    parts = urlsplit(inner)
    token = parse_qs(parts.query).get("token", [os.environ.get("RFS_TOKEN", "")])[0]
    return ServerStore(parts._replace(query="").geturl(), token)
