"""The `http` and `https` stores: GET URL/hh/<64 hex>, and on 404 URL/<64 hex>. Read only.

http://[user:password@]host[:port]/path
"""

import contextlib
import http.client
import threading
from collections.abc import Iterator, Sequence

from flist.errors import BlockMissingError, StoreError, StoreUnavailableError
from flist.http.client import Client
from flist.http.patience import LONGEST_S, Patience
from flist.http.pipeline import Pipeline
from flist.http.status import NOT_FOUND, refusal
from flist.model import MAX_BLOCK_BYTES

KEPT_FOR_READS = 2
"""This many idle connections are left to readers that wait for one block."""
MAX_BROKEN = 2
"""After this many pipelines in a row that the server was unfit for, no more are tried."""


class HttpStore:
    """Blocks behind an HTTP server."""

    def __init__(self, url: str, timeout_s: float = LONGEST_S) -> None:
        self.client = Client(url, max_bytes=MAX_BLOCK_BYTES, timeout_s=timeout_s)
        self.announced: dict[bytes, Pipeline] = {}
        self.broken_left = MAX_BROKEN
        self.lock = threading.Lock()

    @property
    def max_bytes(self) -> int:
        """The size of the largest block that is taken."""
        return self.client.max_bytes

    @max_bytes.setter
    def max_bytes(self, size: int) -> None:
        self.client.max_bytes = size

    def paths(self, block_id: bytes) -> Sequence[str]:
        """Return where a block may be, likely places first."""
        name = block_id.hex()
        return f"{name[:2]}/{name}", name

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        return self.get_within(block_id, self.client.timeout_s)

    def get_within(self, block_id: bytes, patience_s: float) -> bytes:
        """Return a block; the server is given up after `patience_s` seconds of silence."""
        patience = self.client.be_patient(patience_s)
        pipeline = self.announced.get(block_id)
        if pipeline is not None:
            try:
                data = pipeline.take(block_id, patience)
            except TimeoutError as error:
                raise StoreUnavailableError(f"cannot reach {self.client.url}: {error}") from error
            if data is not None:
                return data
        for path in self.paths(block_id):
            status, body = self.client.ask("GET", path, patience=patience)
            if status == 200:
                return body
            if status not in NOT_FOUND:
                raise refusal(status, self.client.url)
        raise BlockMissingError(
            f"cannot read block {block_id.hex()}: it is not at {self.client.url}"
        )

    @contextlib.contextmanager
    def announce(self, block_ids: Sequence[bytes]) -> Iterator[None]:
        """Request all blocks that `get` will be called for in the `with` block over one connection;
        for none, open a connection."""
        if self.broken_left <= 0:
            yield
            return
        origin = self.client.origin
        kept = origin.take(KEPT_FOR_READS)
        pipeline = Pipeline(kept or origin.connect(), MAX_BLOCK_BYTES)
        with self.lock:
            self.announced.update(dict.fromkeys(block_ids, pipeline))
        try:
            self.request_all(pipeline, block_ids)
            yield
        finally:
            is_usable = pipeline.finish(Patience(self.client.timeout_s))
            if is_usable:
                origin.keep(pipeline.connection)
            with self.lock:
                for block_id in block_ids:
                    if self.announced.get(block_id) is pipeline:  # and not of another thread
                        del self.announced[block_id]
                if pipeline.is_unfit and kept is None:  # a kept one may just have been closed
                    self.broken_left -= 1
                elif is_usable and block_ids:
                    self.broken_left = MAX_BROKEN

    def request_all(self, pipeline: Pipeline, block_ids: Sequence[bytes]) -> None:
        """Send a request for each block, for its likely place."""
        secret = self.client.secret
        headers = {"Authorization": secret} if secret else {}
        target, locate = self.client.origin.target, self.client.locate
        requests = [(name, target(locate(self.paths(name)[0]))) for name in block_ids]
        pipeline.send(requests, headers, Patience(self.client.timeout_s))

    def has(self, block_id: bytes) -> bool:
        """Return whether the block is there."""
        for path in self.paths(block_id):
            status, _ = self.client.ask("HEAD", path)
            if status == 200:
                return True
            if status not in NOT_FOUND:
                raise refusal(status, self.client.url)
        return False

    def put(self, block_id: bytes, data: bytes) -> None:
        """Refuse: a plain web server accepts no blocks."""
        del block_id, data
        raise StoreError(f"cannot write to {self.client.url}: an http store can only be read")

    def flush(self) -> None:
        """Do nothing: nothing is ever written."""

    def close(self) -> None:
        """Close the idle connections."""
        self.client.close()

    def adopt(self, connection: http.client.HTTPConnection) -> bool:
        """Use an open connection if it leads to this server; return whether it does."""
        is_ours = self.client.origin.is_of(connection)
        if is_ours:
            self.client.origin.keep(connection)
        return is_ours


def open_store(url: str) -> HttpStore:
    """Return the store at `url`."""
    return HttpStore(url)
