"""The base of stores that wrap another store and change only how blocks are read."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flist.store.base import Store, adopt, announce, get_range

if TYPE_CHECKING:
    from http.client import HTTPConnection


class WrappedStore:
    """Passes everything to `store`."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        return self.store.get(block_id)

    def get_range(self, block_id: bytes, start: int, length: int) -> bytes | None:
        """Return bytes of a block, after one try, if the store can read a part cheaply."""
        return get_range(self.store, block_id, start, length)

    def announce(self, block_ids: Sequence[bytes]) -> contextlib.AbstractContextManager[None]:
        """Tell the store which blocks will be read."""
        return announce(self.store, block_ids)

    def adopt(self, connection: "HTTPConnection") -> bool:
        """Give the store an open connection."""
        return adopt(self.store, connection)

    def has(self, block_id: bytes) -> bool:
        """Return whether the block is there."""
        return self.store.has(block_id)

    def put(self, block_id: bytes, data: bytes) -> None:
        """Keep a block."""
        self.store.put(block_id, data)

    def flush(self) -> None:
        """Flush the store."""
        self.store.flush()

    def close(self) -> None:
        """Close the store."""
        self.store.close()
