"""A store that logs every read: how long each block took, or why it failed."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence

from flist.errors import FlistError
from flist.store.base import announce, get_range, get_within
from flist.store.wrapped import WrappedStore

log = logging.getLogger("flist.store")


class LoggedStore(WrappedStore):
    """Logs the reads of `store`."""

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        return self.timed(block_id, lambda: self.store.get(block_id))

    def get_within(self, block_id: bytes, patience_s: float) -> bytes:
        """Return a block; the store is given up after `patience_s` seconds of silence."""
        return self.timed(block_id, lambda: get_within(self.store, block_id, patience_s))

    def timed(self, block_id: bytes, get: Callable[[], bytes]) -> bytes:
        """Return a block and log how long it took."""
        started = time.monotonic()
        try:
            data = get()
        except FlistError as error:
            took_s = time.monotonic() - started
            log.debug("block %s: failed after %.3f s: %s", block_id.hex(), took_s, error.message)
            raise
        took_s = time.monotonic() - started
        log.debug("block %s: %d bytes in %.3f s", block_id.hex(), len(data), took_s)
        return data

    def get_range(self, block_id: bytes, start: int, length: int) -> bytes | None:
        """Return bytes of a block, if the store can read a part cheaply."""
        data = get_range(self.store, block_id, start, length)
        if data is not None:
            log.debug("block %s: %d bytes from byte %d", block_id.hex(), length, start)
        return data

    @contextlib.contextmanager
    def announce(self, block_ids: Sequence[bytes]) -> Iterator[None]:
        """Tell the store which blocks will be read."""
        log.debug("%d blocks are requested together", len(block_ids))
        with announce(self.store, block_ids):
            yield
