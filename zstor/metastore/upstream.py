"""Upstream's metadata: one part in each of four stores, of which two make it."""

from collections.abc import Sequence
from functools import partial

from zstor.backends.zdb import Servers
from zstor.codec.checksum import short_checksum
from zstor.config import UPSTREAM_STORES
from zstor.errors import BackendError, ConfigError, QuorumError
from zstor.format.file import NAME
from zstor.format.scattered import SHAPE, gather, scatter
from zstor.model import Backend


class UpstreamMetastore:
    """Named values in four stores, as upstream has them: encrypted with the data key."""

    def __init__(
        self, servers: Servers, stores: Sequence[Backend], prefix: str, key: bytes
    ) -> None:
        if len(stores) < UPSTREAM_STORES:
            raise ConfigError(
                f"cannot use upstream's format: it needs {UPSTREAM_STORES} metadata backends"
            )
        self.servers = servers
        self.stores = stores[:UPSTREAM_STORES]
        self.prefix = prefix
        self.key = key

    def file_key(self, name: str) -> bytes:
        """Return the key of a file's metadata."""
        digest = short_checksum(name.encode(*NAME)).hex()
        return f"/{self.prefix}/meta/{digest}".encode()

    def read(self, key: bytes) -> bytes | None:
        """Return the value under a key; None if no store has a part of it.

        All stores are asked: parts of an older write may be among them.
        """
        calls = [partial(self.servers.get, store, key) for store in self.stores]
        found = self.servers.pool.run(calls)
        values = [value for value in found if isinstance(value, bytes)]
        errors = [value for value in found if isinstance(value, BackendError)]
        if values:
            return gather(values, self.key)
        if len(errors) > UPSTREAM_STORES - SHAPE.k:
            raise self._too_few("read", errors)
        return None

    def write(self, key: bytes, data: bytes) -> None:
        """Store a value. All stores must take it: an older part would not fit the others."""
        values = scatter(data, self.key)
        pairs = zip(self.stores, values, strict=True)
        found = self.servers.pool.run([partial(self.servers.put, s, key, v) for s, v in pairs])
        errors = [value for value in found if isinstance(value, BackendError)]
        if errors:
            raise self._too_few("write", errors)

    def remove(self, key: bytes) -> None:
        """Remove a value."""
        self.servers.pool.run([partial(self.servers.delete, s, key) for s in self.stores])

    def check_writable(self) -> None:
        """Raise `QuorumError` unless all stores answer and none is locked."""
        found = self.servers.pool.run([partial(self._check_open, s) for s in self.stores])
        errors = [value for value in found if isinstance(value, BackendError)]
        if errors:
            raise self._too_few("write", errors)

    def _check_open(self, store: Backend) -> None:
        if self.servers.info(store).is_locked:
            raise BackendError(f"{store.place} is locked")

    def _too_few(self, what: str, errors: Sequence[BackendError]) -> QuorumError:
        good = len(self.stores) - len(errors)
        told = "; ".join(error.message for error in errors)
        return QuorumError(
            f"cannot {what} the metadata: {good} of {len(self.stores)} stores will do it ({told})"
        )
