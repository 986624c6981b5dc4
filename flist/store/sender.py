"""Gives blocks to stores, and asks those across a network first whether they have them.

They are asked for many at once, and by several threads: a network's delay is then paid for few of
them. A folder of this machine looks itself before it writes, so it gets each block at once.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

from flist.store.base import Store
from flist.store.folder import FolderStore
from flist.store.routed import RoutedStore

Result = TypeVar("Result")
PARCEL_BLOCKS = 64
PARCEL_BYTES = 1 << 20
PARCELS = 8
"""So many parcels are under way at once, each in a thread: together up to 8 MiB."""


@runtime_checkable
class AskableStore(Protocol):
    """A store that can be asked for several blocks at once."""

    def missing(self, block_ids: Sequence[bytes], /) -> set[bytes]:
        """Return which blocks are not there; the others are relied on, so it keeps them."""


class Sender:
    """Gives the stores behind `store` what they lack, several parcels at a time. For one thread.

    What a store refuses is raised by a later call, at the latest by `flush`.
    """

    def __init__(self, store: RoutedStore) -> None:
        self.store = store
        self.is_local = all(isinstance(place, FolderStore) for _, place in store.routes)
        self.parcel: dict[bytes, bytes] = {}
        self.parcel_bytes = 0
        self.under_way: deque[Future[None]] = deque()

    def put(self, block_id: bytes, data: bytes) -> None:
        """Give a block to its stores, at once or together with the next ones."""
        if self.is_local:
            self.store.put(block_id, data)
            return
        self.parcel[block_id] = data
        self.parcel_bytes += len(data)
        if len(self.parcel) >= PARCEL_BLOCKS or self.parcel_bytes >= PARCEL_BYTES:
            self.send()

    def send(self) -> None:
        """Send what has been put, when there are not too many under way."""
        parcel, self.parcel, self.parcel_bytes = self.parcel, {}, 0
        if len(self.under_way) >= PARCELS:
            self.under_way.popleft().result()
        self.under_way.append(start(partial(give, self.store, parcel)))

    def flush(self) -> None:
        """Return when all that was put would survive a power cut."""
        if self.parcel:
            self.send()
        while self.under_way:
            self.under_way.popleft().result()
        self.store.flush()

    def close(self) -> None:
        """Close the stores."""
        self.store.close()


def give(store: RoutedStore, blocks: Mapping[bytes, bytes]) -> None:
    """Put blocks (by id) into those of their stores that lack them."""
    for place, block_ids in by_store(store, blocks):
        asks_itself = isinstance(place, FolderStore)
        for block_id in block_ids if asks_itself else find_missing(place, block_ids):
            place.put(block_id, blocks[block_id])


def find_lacking(store: RoutedStore, block_ids: Iterable[bytes]) -> dict[bytes, list[Store]]:
    """Return the blocks that not every store of theirs has, with the stores that lack them."""
    lacking: dict[bytes, list[Store]] = {}
    for place, wanted in by_store(store, block_ids):
        for missing in ask_all(place, wanted):
            for block_id in missing:
                lacking.setdefault(block_id, []).append(place)
    return lacking


def ask_all(store: Store, block_ids: Sequence[bytes]) -> Iterator[set[bytes]]:
    """Give the blocks that a store does not have, parcel by parcel."""
    if isinstance(store, FolderStore):
        yield store.missing(block_ids)
        return
    under_way: deque[Future[set[bytes]]] = deque()
    for first in range(0, len(block_ids), PARCEL_BLOCKS):
        if len(under_way) >= PARCELS:
            yield under_way.popleft().result()
        part = block_ids[first : first + PARCEL_BLOCKS]
        under_way.append(start(partial(find_missing, store, part)))
    while under_way:
        yield under_way.popleft().result()


def by_store(store: RoutedStore, block_ids: Iterable[bytes]) -> Iterable[tuple[Store, list[bytes]]]:
    """Return each store with those of the blocks that belong into it."""
    found: dict[int, tuple[Store, list[bytes]]] = {}
    for block_id in block_ids:
        for place in store.matching(block_id):
            found.setdefault(id(place), (place, []))[1].append(block_id)
    return found.values()


def find_missing(store: Store, block_ids: Sequence[bytes]) -> set[bytes]:
    """Return which blocks a store does not have."""
    if isinstance(store, AskableStore):
        return store.missing(block_ids)
    return {block_id for block_id in block_ids if not store.has(block_id)}


def start(work: Callable[[], Result]) -> "Future[Result]":
    """Do `work` in a thread that does not hold up the end of the process."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
