"""The stores of a flist one by one: which of them has the right bytes of a block, and which not.

A store that is down is given up once it has used up the patience, and then left out.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from flist.blocks.codec import check_arrival
from flist.errors import BlockError, BlockMissingError, FlistError, StoreUnavailableError
from flist.http.urls import hide_secrets
from flist.model import Route
from flist.store.base import Store, open_store
from flist.store.folder import FolderStore
from flist.store.retry import RetryingStore
from flist.store.routed import RoutedStore, log_gets
from flist.store.threads import thread_pool

CHECKERS = 4


class Place:
    """One store, under the name that messages give it."""

    def __init__(self, url: str, wait_s: float, *, is_logged: bool) -> None:
        self.shown = hide_secrets(url)
        self.store = open_store(url)
        checked = RoutedStore([(Route(0, 255, url), self.store)], check_arrival)
        self.reading = RetryingStore(log_gets(checked) if is_logged else checked, wait_s)
        self.outage: StoreUnavailableError | None = None


class Found(NamedTuple):
    """What a store has of a block: its right bytes, or why not."""

    place: Place
    data: bytes | None
    error: FlistError | None


class Places:
    """The stores behind routes. Safe to use from several threads."""

    def __init__(self, routes: Sequence[Route], wait_s: float, *, is_logged: bool) -> None:
        self.by_url: dict[str, Place] = {}
        self.routes = routes
        for route in routes:
            if route.url not in self.by_url:
                self.by_url[route.url] = Place(route.url, wait_s, is_logged=is_logged)

    def look(self, block_id: bytes) -> list[Found]:
        """Read a block from each of its stores but those that are down."""
        urls = dict.fromkeys(route.url for route in self.routes if route.matches(block_id))
        found = []
        for place in (self.by_url[url] for url in urls):
            if place.outage is not None:
                continue
            try:
                found.append(Found(place, place.reading.get(block_id), None))
            except StoreUnavailableError as error:
                place.outage = error
            except FlistError as error:
                found.append(Found(place, None, error))
        return found

    def is_covered(self, block_id: bytes) -> bool:
        """Return whether some store should have a block."""
        return any(route.matches(block_id) for route in self.routes)

    def outages(self) -> list[str]:
        """Return a message for each store that is down."""
        places = self.by_url.values()
        return [
            f"{place.shown}: not all of its blocks were checked: {place.outage.message}"
            for place in places
            if place.outage is not None
        ]

    def flush(self) -> None:
        """Flush the stores that are up."""
        for place in self.by_url.values():
            if place.outage is None:
                place.store.flush()

    def close(self) -> None:
        """Close every store."""
        for place in self.by_url.values():
            place.reading.close()


def replace(store: Store, block_id: bytes, data: bytes) -> None:
    """Keep a block, also if the store has wrong bytes under its id."""
    method: Callable[[bytes, bytes], None] = getattr(store, "replace", store.put)
    method(block_id, data)


def is_sound(store: Store, block_id: bytes) -> bool:
    """Return whether a store has the right bytes of a block."""
    try:
        check_arrival(block_id, store.get(block_id))
    except (BlockMissingError, BlockError):
        return False
    return True


def is_same(store: Store, block_id: bytes, data: bytes) -> bool:
    """Return whether a store has exactly these bytes of a block."""
    try:
        return store.get(block_id) == data
    except BlockMissingError:
        return False


def find_unsound(
    store: RoutedStore, block_ids: Iterable[bytes], *, are_remote_checked: bool
) -> dict[bytes, list[Store]]:
    """Return the stores that have wrong bytes of blocks, by block; stores that are not folders of
    this machine are checked, which downloads all, only if `are_remote_checked`."""
    pairs = [
        (block_id, place)
        for block_id in block_ids
        for place in store.matching(block_id)
        if are_remote_checked or isinstance(place, FolderStore)
    ]
    unsound: dict[bytes, list[Store]] = {}
    with thread_pool(CHECKERS) as pool:
        results = pool.map(lambda pair: is_sound(pair[1], pair[0]), pairs)
        for (block_id, place), is_good in zip(pairs, results, strict=True):
            if not is_good:
                unsound.setdefault(block_id, []).append(place)
    return unsound
