"""Sharding and replication by routes, as in upstream's rfs.

A block is written to every store whose route matches, and read from any of them: the matching
stores are tried in random order, or in that of the routes, until one returns bytes that pass the
check. A store that failed is tried last for a while.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from common.errors import UsageError
from flist.errors import BlockError, BlockMissingError, FlistError, StoreError
from flist.http.patience import LONGEST_S
from flist.http.urls import hide_secrets
from flist.model import Route
from flist.store.base import Store, adopt, announce, get_range, get_within, open_store

if TYPE_CHECKING:
    from http.client import HTTPConnection


REST_S = 30.0
"""A store that failed is tried last for this long, or for ten times as long as the failure took."""
FIRST_PATIENCE_S = 2.0
"""A store may be silent this long while there is another one that has not failed."""


class RoutedStore:
    """Stores behind routes. `check(id, data)` raises `BlockError` for wrong bytes."""

    def __init__(
        self,
        routes: Sequence[tuple[Route, Store]],
        check: Callable[[bytes, bytes], None],
        shuffle: Callable[[list[Store]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_ordered: bool = False,
    ) -> None:
        self.routes = routes
        self.check = check
        self.shuffle = shuffle or shuffle_stores
        self.is_ordered = is_ordered
        self.clock = clock
        self.by_first_byte: dict[int, list[Store]] = {}
        self.resting: dict[int, float] = {}  # id of a store -> until when it is tried last

    def matching(self, block_id: bytes) -> list[Store]:
        """Return the stores of a block in the order of the routes, each once."""
        known = self.by_first_byte.get(block_id[0])
        if known is not None:
            return known
        found = {id(store): store for route, store in self.routes if route.matches(block_id)}
        if not found:
            raise StoreError(
                f"no route covers block {block_id.hex()}",
                hint="together the stores' ranges must reach from 00 to ff",
            )
        stores = self.by_first_byte[block_id[0]] = list(found.values())
        return stores

    def group(self, block_id: bytes) -> tuple[int, ...]:
        """Return the numbers of the routes that cover a block: blocks with the same numbers are in
        the same stores."""
        numbers = enumerate(route for route, _ in self.routes)
        return tuple(number for number, route in numbers if route.matches(block_id))

    def get(self, block_id: bytes) -> bytes:
        """Return a block whose bytes passed the check."""
        return self.get_within(block_id, LONGEST_S)

    def get_within(self, block_id: bytes, patience_s: float) -> bytes:
        """Return a block whose bytes passed the check; each store is given up after `patience_s`
        seconds of silence."""
        stores = self.matching(block_id)
        if len(stores) > 1:
            stores = self.in_order(stores)
        errors: list[FlistError] = []
        for index, store in enumerate(stores):
            is_another_well = any(id(other) not in self.resting for other in stores[index + 1 :])
            limit_s = min(patience_s, FIRST_PATIENCE_S) if is_another_well else patience_s
            started = self.clock()
            try:
                data = get_within(store, block_id, limit_s)
                self.check(block_id, data)
            except (StoreError, BlockError) as error:
                errors.append(error)
                if not isinstance(error, BlockMissingError):
                    now = self.clock()
                    self.resting[id(store)] = now + max(REST_S, 10 * (now - started))
            else:
                self.resting.pop(id(store), None)
                return data
        raise worst(errors)

    def in_order(self, stores: Sequence[Store]) -> list[Store]:
        """Return mirrors in the order to try them: random or as named, then those that failed
        recently, by how soon their rest ends."""
        now = self.clock()
        for key, until in self.resting.copy().items():
            if until <= now:
                self.resting.pop(key, None)
        order = list(stores)
        if not self.is_ordered:
            self.shuffle(order)
        return sorted(order, key=lambda store: self.resting.get(id(store), 0.0))

    def get_range(self, block_id: bytes, start: int, length: int) -> bytes | None:
        """Return bytes of a block, unchecked, from the first store that can read a part cheaply."""
        for store in self.matching(block_id):
            data = get_range(store, block_id, start, length)
            if data is not None:
                return data
        return None

    @contextlib.contextmanager
    def announce(self, block_ids: Sequence[bytes]) -> Iterator[None]:
        """Tell each store which blocks will be read; blocks with mirrors are requested one by one,
        unless the stores have an order."""
        by_store: dict[int, list[bytes]] = {id(store): [] for _, store in self.routes}
        for block_id in block_ids:
            stores = self.matching(block_id)
            if len(stores) > 1 and self.is_ordered:
                stores = self.in_order(stores)[:1]
            if len(stores) == 1:
                by_store[id(stores[0])].append(block_id)
        with contextlib.ExitStack() as stack:
            for store in {id(store): store for _, store in self.routes}.values():
                wanted = by_store[id(store)]
                if wanted or not block_ids:
                    stack.enter_context(announce(store, wanted))
            yield

    def adopt(self, connection: "HTTPConnection") -> bool:
        """Give an open connection to the first store that can use it."""
        return any(adopt(store, connection) for _, store in self.routes)

    def has(self, block_id: bytes) -> bool:
        """Return whether every store of the block has it."""
        return all(store.has(block_id) for store in self.matching(block_id))

    def put(self, block_id: bytes, data: bytes) -> None:
        """Put a block into each of its stores."""
        for store in self.matching(block_id):
            store.put(block_id, data)

    def flush(self) -> None:
        """Flush every store."""
        for _, store in self.routes:
            store.flush()

    def close(self) -> None:
        """Close every store."""
        for _, store in self.routes:
            store.close()


def shuffle_stores(stores: list[Store]) -> None:
    """Put mirrors into random order."""
    import random  # only where there are mirrors: it imports much

    random.shuffle(stores)


def worst(errors: Sequence[FlistError]) -> FlistError:
    """Return the most informative error: an outage first, then wrong bytes, then absence."""
    for error in errors:
        if not isinstance(error, (BlockMissingError, BlockError)):
            return error
    return next((e for e in errors if isinstance(e, BlockError)), errors[0])


def parse_route(text: str) -> Route:
    """Return the route of `hh-hh=url` or of a bare URL (every block)."""
    span, equals, url = text.partition("=")
    start, dash, end = span.partition("-")
    if not equals or "://" in span:
        return Route(0, 255, text)
    digits = "0123456789abcdef"
    is_hex = all(len(byte) == 2 and not byte.strip(digits) for byte in (start, end))
    if not dash or not is_hex or int(start, 16) > int(end, 16):
        raise UsageError(
            f"cannot read store {hide_secrets(text)!r}: {span!r} is not a range",
            hint="for example 00-7f=URL",
        )
    return Route(int(start, 16), int(end, 16), url)


def open_routes(
    routes: Sequence[Route], check: Callable[[bytes, bytes], None], *, is_ordered: bool = False
) -> RoutedStore:
    """Return the store behind `routes`; each URL is opened once."""
    if not routes:
        raise UsageError("no store is named", hint="--store URL, for example dir:///srv/blocks")
    stores = {url: open_store(url) for url in dict.fromkeys(route.url for route in routes)}
    pairs = [(route, stores[route.url]) for route in routes]
    return RoutedStore(pairs, check, is_ordered=is_ordered)


def log_gets(store: RoutedStore) -> Store:
    """Return a store that logs its reads; imported only when it is needed."""
    from flist.store.logged import LoggedStore

    return LoggedStore(store)
