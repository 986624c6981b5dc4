"""The interface of a store, and the one place where a URL becomes a store.

A store keeps encrypted blocks by id. It does not guarantee the bytes: the reader checks them
(`flist.store.fetch`). Retries, mirrors and the cache are wrappers around a store.
"""

import contextlib
import importlib
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from common.errors import UsageError
from flist.http.urls import hide_secrets, split_url

if TYPE_CHECKING:
    from http.client import HTTPConnection


class Store(Protocol):
    """A place for encrypted blocks. Safe to use from several threads."""

    def get(self, block_id: bytes) -> bytes:
        """Return a block; raises `BlockMissingError`, `StoreUnavailableError`, `StoreError`."""

    def put(self, block_id: bytes, data: bytes) -> None:
        """Keep a block; raises `StoreUnavailableError` or `StoreError`."""

    def has(self, block_id: bytes) -> bool:
        """Return whether the block is there."""

    def flush(self) -> None:
        """Return when everything that was put would survive a power cut."""

    def close(self) -> None:
        """Release the connections."""


@runtime_checkable
class AnnouncingStore(Protocol):
    """A store that can request several blocks at once."""

    def announce(self, block_ids: Sequence[bytes], /) -> contextlib.AbstractContextManager[None]:
        """Expect `get` to be called for these blocks inside the `with` block."""


def announce(
    store: Store | None, block_ids: Sequence[bytes]
) -> contextlib.AbstractContextManager[None]:
    """Tell a store which blocks the `with` block will get, if the store can make use of that."""
    if isinstance(store, AnnouncingStore):
        return store.announce(block_ids)
    return contextlib.nullcontext()


def get_within(store: Store, block_id: bytes, patience_s: float) -> bytes:
    """Return a block; a store that supports it is given up after `patience_s` seconds of
    silence."""
    method: Callable[[bytes, float], bytes] | None = getattr(store, "get_within", None)
    return store.get(block_id) if method is None else method(block_id, patience_s)


def get_range(store: Store | None, block_id: bytes, start: int, length: int) -> bytes | None:
    """Return bytes of a block, unchecked, or None if the store cannot read a part cheaply."""
    # isinstance with a runtime protocol would take most of the time of a small read.
    method: Callable[[bytes, int, int], bytes | None] | None = getattr(store, "get_range", None)
    return None if method is None else method(block_id, start, length)


def group(store: Store | None, block_id: bytes) -> Hashable:
    """Return a value that blocks have in common if they are in the same stores."""
    method: Callable[[bytes], Hashable] | None = getattr(store, "group", None)
    return None if method is None else method(block_id)


def is_down(store: Store | None, block_id: bytes) -> bool:
    """Return whether it is known that a block can't be read now: guesses do not wait for it."""
    method: Callable[[bytes], bool] | None = getattr(store, "is_down", None)
    return method is not None and method(block_id)


BLOCK_NAME = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}")
"""The name of a block of either format in a store."""


class Stored(NamedTuple):
    """A block in a store's list; `changed_s` says when it was written, or last relied on."""

    id: bytes
    size: int
    changed_s: float


@runtime_checkable
class RemovingStore(Protocol):
    """A store that can remove a block."""

    def remove(self, block_id: bytes, /) -> None:
        """Remove a block, if it is there; raises `StoreError`."""


@runtime_checkable
class ListingStore(Protocol):
    """A store that can list its blocks."""

    def stored(self) -> Iterator[Stored]:
        """Yield all blocks, in any order; raises `StoreError`."""


@runtime_checkable
class AdoptingStore(Protocol):
    """A store that can use a connection opened elsewhere."""

    def adopt(self, connection: "HTTPConnection", /) -> bool:
        """Use an open connection if it leads to this store's server; return whether it does."""


def adopt(store: Store | None, connection: "HTTPConnection") -> bool:
    """Give a store an open connection; return whether it uses it."""
    return isinstance(store, AdoptingStore) and store.adopt(connection)


# scheme -> module with `open_store(url) -> Store`
SCHEMES = {
    "dir": "flist.store.folder",
    "http": "flist.store.http",
    "https": "flist.store.http",
    "zdb": "flist.store.zdb",
    "redis": "flist.store.zdb",
    "s3": "flist.store.s3",
    "s3s": "flist.store.s3",
    "s3+tls": "flist.store.s3",
    "s3s+tls": "flist.store.s3",
    "server": "flist.store.server",
}


def open_store(url: str) -> Store:
    """Return the store at `url`; raises `UsageError` for a URL that is not one of a store."""
    module = SCHEMES[check_scheme(url)]
    try:
        store: Store = importlib.import_module(module).open_store(url)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"cannot open store {hide_secrets(url)!r}: {error.name} is not installed here",
            hint="pip install zero-os[host]",
        ) from error
    except UsageError as error:
        raise UsageError(hide_secrets(error.message), hint=error.hint) from error
    return store


def check_scheme(url: str) -> str:
    """Return the scheme of a store's URL; raises `UsageError` for an unknown scheme."""
    scheme = split_url(url).scheme
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        shown = hide_secrets(url)
        raise UsageError(f"cannot open store {shown!r}: unknown scheme", hint=f"there are: {known}")
    return scheme
