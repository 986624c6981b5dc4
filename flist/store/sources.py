"""Sets up the reading of a flist from options: its routes, stores, retries and cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from flist.errors import FlistError
from flist.format.opening import AnyFlist
from flist.model import Route
from flist.store.base import check_scheme
from flist.store.cache import BlockCache
from flist.store.defaults import DEFAULT_LIMIT_BYTES, DEFAULT_WAIT_S
from flist.store.fetch import Fetcher, check_arrival
from flist.store.retry import RetryingStore
from flist.store.routed import log_gets, open_routes, parse_route


class Sources(NamedTuple):
    """Where blocks come from: `stores` (texts of routes) replace the flist's own routes. With
    `is_logged`, every read of a store is logged; with `is_ordered`, mirrors are tried in order.
    With `is_cache_checked`, the ids of cached blocks are checked whenever they are read."""

    stores: Sequence[str] = ()
    cache: Path | None = None
    cache_bytes: int = DEFAULT_LIMIT_BYTES
    wait_s: float = DEFAULT_WAIT_S
    is_offline: bool = False
    is_logged: bool = False
    is_ordered: bool = False
    is_cache_checked: bool = False


def choose_routes(flist: AnyFlist, stores: Sequence[str]) -> list[Route]:
    """Return the routes in `stores`, or else those in the flist."""
    routes = [parse_route(text) for text in stores] or flist.routes()
    if not routes:
        raise FlistError(
            f"cannot find the blocks of {flist.path}: it names no store",
            hint="name one with --store URL",
        )
    return routes


def wanted_routes(flist: AnyFlist, sources: Sources) -> list[Route]:
    """Return the routes to read from: none offline. Raises `UsageError` for an invalid store, so
    that it is reported before any work or fork."""
    routes = [] if sources.is_offline else choose_routes(flist, sources.stores)
    for route in routes:
        check_scheme(route.url)
    return routes


def is_local(route: Route) -> bool:
    """Return whether a store is a folder on this machine."""
    return route.url.startswith("dir://")


def open_fetcher(flist: AnyFlist, sources: Sources, *, is_local_cached: bool = False) -> Fetcher:
    """Return a fetcher of the flist's blocks; those of local stores are cached only if
    `is_local_cached`."""
    return route_fetcher(wanted_routes(flist, sources), sources, is_local_cached=is_local_cached)


def route_fetcher(
    routes: Sequence[Route], sources: Sources, *, is_local_cached: bool = False
) -> Fetcher:
    """Do what `open_fetcher` does for a flist whose `wanted_routes` are `routes`."""
    check = check_arrival if sources.is_cache_checked else None
    cache = BlockCache(sources.cache, sources.cache_bytes, check) if sources.cache else None
    if sources.is_offline:
        if cache is not None:
            cache.prepare()
        return Fetcher(None, cache)
    are_local = all(is_local(route) for route in routes)
    if are_local and not is_local_cached:
        cache = None  # a copy on the same machine would save nothing
    if cache is not None:
        cache.prepare()
    routed = open_routes(routes, check_arrival, is_ordered=sources.is_ordered)
    inner = log_gets(routed) if sources.is_logged else routed
    store = RetryingStore(inner, sources.wait_s, group=routed.group)
    return Fetcher(store, cache, is_local=are_local)
