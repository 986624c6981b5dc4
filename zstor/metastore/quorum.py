"""Our metadata: a whole copy in each store, and a version that tells the newest.

A write counts when a majority of the stores has it, a read when a majority has answered: so a
read sees the last write, though a minority is down. A copy, not a part, because with three stores
and one of them down no code does better: a write is at two stores, a read sees one of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

from zstor.backends.zdb import Servers
from zstor.codec.checksum import SHORT
from zstor.codec.keys import derive
from zstor.errors import BackendError, ConflictError, DamagedError, QuorumError
from zstor.format.envelope import NONE, Version, next_version, pack, unpack
from zstor.format.file import NAME
from zstor.model import Backend

GRACE_S = 1.0
"""How long a write waits for more stores than the majority."""
FILES, JOURNAL = "file", "journal"


class Reading(NamedTuple):
    """What the stores have under a name.

    `is_certain` is false if no majority has answered: then there may be a newer version.
    """

    version: Version
    data: bytes | None
    is_certain: bool


ABSENT = (NONE, b"", b"")


class Metastore:
    """Named values in several stores."""

    def __init__(
        self, servers: Servers, stores: Sequence[Backend], prefix: str, key: bytes
    ) -> None:
        self.servers = servers
        self.stores = list(stores)
        self.prefix = prefix
        self.key = derive(key, b"metadata")
        self.name_key = derive(key, b"names")
        self.majority = len(self.stores) // 2 + 1

    def file_key(self, name: str) -> bytes:
        """Return the key of a file's metadata; it does not tell the name."""
        digest = blake2b(name.encode(*NAME), digest_size=SHORT, key=self.name_key)
        return self.entry_key(FILES, digest.hexdigest())

    def entry_key(self, room: str, name: str) -> bytes:
        """Return the key of an entry in one of the rooms."""
        return f"/{self.prefix}/{room}/{name}".encode()

    def read(self, key: bytes) -> Reading:
        """Return the newest value; raise `QuorumError` if no store knows one and too few answer."""
        found = self._ask(key)
        values = [value for value in found.values() if not isinstance(value, BackendError)]
        is_certain = len(values) >= self.majority
        version, data, _ = max(values, default=ABSENT)
        if not is_certain and version == NONE:
            raise self._too_few("read", found)
        return Reading(version, data if version != NONE else None, is_certain)

    def _ask(self, key: bytes) -> dict[int, tuple[Version, bytes, bytes] | BackendError]:
        """Return what a majority of the stores has: version, content, and the value itself."""
        calls = [partial(self._get, store, key) for store in self.stores]
        return self.servers.pool.gather(calls, self._is_majority)

    def _is_majority(self, found: Mapping[int, object]) -> bool:
        good = [value for value in found.values() if not isinstance(value, BackendError)]
        return len(good) >= self.majority

    def _get(self, store: Backend, key: bytes) -> tuple[Version, bytes, bytes]:
        value = self.servers.get(store, key)
        if value is None:
            return ABSENT
        try:
            return *unpack(value, self.key, key), value
        except DamagedError as error:
            raise BackendError(f"cannot use what is at {store.place}: {error.message}") from error

    def _too_few(self, what: str, found: Mapping[int, object]) -> QuorumError:
        errors = [str(value) for value in found.values() if isinstance(value, BackendError)]
        good = len(found) - len(errors)
        return QuorumError(
            f"cannot {what} the metadata: {good} of {len(self.stores)} stores will do it, "
            f"{self.majority} are needed ({'; '.join(errors)})"
        )

    def write(self, key: bytes, data: bytes, replaced: Version) -> Version:
        """Store a value that replaces the version that was read.

        Raise `QuorumError` if too few stores have it, and `ConflictError` if another writer has
        replaced the same version. After either some stores may have the value.
        """
        version = next_version(replaced)
        found = self._put(key, pack(data, version, self.key, key))
        if not self._is_majority(found):
            raise self._too_few("write", found)
        self._check_newest(key, version)
        return version

    def _put(self, key: bytes, value: bytes) -> dict[int, BackendError | None]:
        calls = [partial(self.servers.put, store, key, value) for store in self.stores]
        return self.servers.pool.gather(calls, self._is_majority, GRACE_S)

    def _check_newest(self, key: bytes, version: Version) -> None:
        """Let the larger of two concurrent versions win, everywhere."""
        values = [v for v in self._ask(key).values() if not isinstance(v, BackendError)]
        newest = max(values, default=ABSENT)
        if newest[0] > version:
            self._put(key, newest[2])
            raise ConflictError(
                "cannot store: another writer changed the same file meanwhile",
                hint="try again; the other's content is there now",
            )

    def create(self, key: bytes, data: bytes) -> None:
        """Store a value under a key that is used once."""
        found = self._put(key, pack(data, next_version(NONE), self.key, key))
        if not self._is_majority(found):
            raise self._too_few("write", found)

    def remove(self, key: bytes) -> None:
        """Remove a key for good at all stores that answer.

        Only for keys that are used once: a store that is down keeps it.
        """
        calls = [partial(self.servers.delete, store, key) for store in self.stores]
        self.servers.pool.gather(calls, self._is_majority, GRACE_S)

    def keys(self, room: str) -> Iterator[bytes]:
        """Yield the keys in a room that any store has, each once."""
        start = self.entry_key(room, "")
        seen: set[bytes] = set()
        errors: dict[int, BackendError] = {}
        for number, store in enumerate(self.stores):
            try:
                for entry in self.servers.scan(store):
                    if entry.key.startswith(start) and entry.key not in seen:
                        seen.add(entry.key)
                        yield entry.key
            except BackendError as error:
                errors[number] = error
        if len(self.stores) - len(errors) < self.majority:
            raise self._too_few("list", {n: errors.get(n) for n in range(len(self.stores))})
