"""Puts blocks into stores; stores across a network are first asked which blocks they have.

One question covers many blocks, and several threads ask, so that the network's latency is paid
rarely. A folder on this machine checks itself before it writes, so it gets each block directly.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from flist.store.base import Store
from flist.store.folder import FolderStore
from flist.store.places import is_same, replace
from flist.store.routed import RoutedStore
from flist.store.threads import start

if TYPE_CHECKING:
    from concurrent.futures import Future

PARCEL_BLOCKS = 64
PARCEL_BYTES = 1 << 20
PARCELS = 8
"""This many parcels are sent at the same time, each by a thread: up to 8 MiB in all."""


@runtime_checkable
class AskableStore(Protocol):
    """A store that can check several blocks at once."""

    def missing(self, block_ids: Sequence[bytes], /) -> set[bytes]:
        """Return which blocks are not there; the store keeps the others, the caller relies on
        them."""


class Sender:
    """Sends the stores behind `store` the blocks that they lack, several parcels at a time. For one
    thread. With `is_checking`, blocks that they have are read, and replaced if they are damaged.

    The error of a store is raised by a later call, at the latest by `flush`.
    """

    def __init__(self, store: RoutedStore, *, is_checking: bool = False) -> None:
        self.store = store
        self.is_checking = is_checking
        self.is_local = all(isinstance(place, FolderStore) for _, place in store.routes)
        self.parcel: dict[bytes, bytes] = {}
        self.parcel_bytes = 0
        self.under_way: deque[Future[None]] = deque()

    def put(self, block_id: bytes, data: bytes) -> None:
        """Put a block into its stores, at once or together with the next blocks."""
        if self.is_local:
            if self.is_checking:
                give(self.store, {block_id: data}, is_checking=True)
            else:
                self.store.put(block_id, data)
            return
        self.parcel[block_id] = data
        self.parcel_bytes += len(data)
        if len(self.parcel) >= PARCEL_BLOCKS or self.parcel_bytes >= PARCEL_BYTES:
            self.send()

    def send(self) -> None:
        """Send the current parcel; waits while `PARCELS` are being sent."""
        parcel, self.parcel, self.parcel_bytes = self.parcel, {}, 0
        if len(self.under_way) >= PARCELS:
            self.under_way.popleft().result()
        self.under_way.append(
            start(partial(give, self.store, parcel, is_checking=self.is_checking))
        )

    def flush(self) -> None:
        """Return when every block would survive a power cut."""
        if self.parcel:
            self.send()
        while self.under_way:
            self.under_way.popleft().result()
        self.store.flush()

    def close(self) -> None:
        """Close the stores."""
        self.store.close()


def give(store: RoutedStore, blocks: Mapping[bytes, bytes], *, is_checking: bool = False) -> None:
    """Put blocks (by id) into the stores that lack them; with `is_checking` also into those that
    have them damaged."""
    for place, block_ids in by_store(store, blocks):
        if is_checking:
            give_checked(place, {block_id: blocks[block_id] for block_id in block_ids})
            continue
        asks_itself = isinstance(place, FolderStore)
        for block_id in block_ids if asks_itself else find_missing(place, block_ids):
            place.put(block_id, blocks[block_id])


def give_checked(place: Store, blocks: Mapping[bytes, bytes]) -> None:
    """Put blocks (by id) into a store that lacks them or has them damaged."""
    missing = find_missing(place, list(blocks))
    for block_id, data in blocks.items():
        if block_id in missing:
            place.put(block_id, data)
        elif not is_same(place, block_id, data):
            replace(place, block_id, data)


def find_lacking(store: RoutedStore, block_ids: Iterable[bytes]) -> dict[bytes, list[Store]]:
    """Return, for each block that a store of it lacks, the stores that lack it."""
    lacking: dict[bytes, list[Store]] = {}
    for place, wanted in by_store(store, block_ids):
        for missing in ask_all(place, wanted):
            for block_id in missing:
                lacking.setdefault(block_id, []).append(place)
    return lacking


def ask_all(store: Store, block_ids: Sequence[bytes]) -> Iterator[set[bytes]]:
    """Yield the blocks that a store does not have, parcel by parcel."""
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
    """Return each store with the blocks that belong to it."""
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
