"""Opens what fetches the blocks of a flist: stores, retry and cache, from options."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flist.blocks.codec import check_arrival
from flist.errors import FlistError
from flist.format.opening import AnyFlist
from flist.model import Route
from flist.store.base import check_scheme
from flist.store.cache import DEFAULT_LIMIT_BYTES, BlockCache
from flist.store.fetch import Fetcher
from flist.store.retry import DEFAULT_WAIT_S, RetryingStore
from flist.store.routed import RoutedStore, open_routes, parse_route

if TYPE_CHECKING:
    from flist.store.base import Store


class Sources(NamedTuple):
    """Where blocks come from: `stores` (route texts) in place of the flist's own routes. With
    `is_logged` it is logged what they are asked for."""

    stores: Sequence[str] = ()
    cache: Path | None = None
    cache_bytes: int = DEFAULT_LIMIT_BYTES
    wait_s: float = DEFAULT_WAIT_S
    is_offline: bool = False
    is_logged: bool = False


def choose_routes(flist: AnyFlist, stores: Sequence[str]) -> list[Route]:
    """Return the routes named by `stores`, or else those inside the flist."""
    routes = [parse_route(text) for text in stores] or flist.routes()
    if not routes:
        raise FlistError(
            f"cannot find the blocks of {flist.path}: it names no store",
            hint="name one with --store URL",
        )
    return routes


def check_routes(flist: AnyFlist, sources: Sources) -> None:
    """Raise `UsageError` for a store that can't be; before any work, and before a fork."""
    if not sources.is_offline:
        for route in choose_routes(flist, sources.stores):
            check_scheme(route.url)


def is_local(route: Route) -> bool:
    """Whether a store is a folder of this machine."""
    return route.url.startswith("dir://")


def open_fetcher(flist: AnyFlist, sources: Sources, *, is_local_cached: bool = False) -> Fetcher:
    """Return what fetches the flist's blocks; those of local stores are cached only if asked."""
    cache = BlockCache(sources.cache, sources.cache_bytes) if sources.cache else None
    if sources.is_offline:
        if cache is not None:
            cache.prepare()
        return Fetcher(None, cache)
    routes = choose_routes(flist, sources.stores)
    are_local = all(is_local(route) for route in routes)
    if are_local and not is_local_cached:
        cache = None  # a copy on the same machine saves nothing
    if cache is not None:
        cache.prepare()
    routed = open_routes(routes, check_arrival)
    store = RetryingStore(log_gets(routed) if sources.is_logged else routed, sources.wait_s)
    return Fetcher(store, cache, is_local=are_local)


def log_gets(store: RoutedStore) -> "Store":
    """Return a store that logs what it is asked for; nobody else pays for the import."""
    from flist.store.logged import LoggedStore

    return LoggedStore(store)
