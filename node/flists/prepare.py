"""Brings a wanted flist to this machine, verified and ready to be mounted."""

import threading
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from flist.format.signing.keys import load_public_keys
from node.flists.cache import DiskCache
from node.flists.fetch import (
    REFUSED,
    Fetched,
    MissingError,
    Signed,
    fetch_from_any,
    fetch_signatures,
    key_of,
    take,
)
from node.flists.hubs import rank_hubs
from node.flists.model import FLISTS, Flist, Wanted
from node.flists.mounts import Sources, memory_bytes
from node.log import log as write_log
from node.model import BootParameters, NodeError

KEYS = Path("/etc/zero-os/keys/flist.pub")
FLIST_SHARE = 16  # a flist may use a sixteenth of RAM before it is verified

log = partial(write_log, "bringup")


class Preparer:
    """Fetches flists from the hubs that the boot script names, or takes them from the cache on a
    disk, which `find_cache` returns. Safe to use from several threads."""

    def __init__(
        self,
        parameters: BootParameters,
        find_cache: Callable[[], DiskCache | None] = lambda: None,
        keys: Path = KEYS,
        home: Path = FLISTS,
    ) -> None:
        self.parameters = parameters
        self.find_cache = find_cache
        self.keys = keys
        self.home = home
        self.answers_s: dict[str, float | None] = dict.fromkeys(parameters.hubs)
        self.signatures: dict[str, str] = {}  # of the flists that were taken by signature, by name

    def fetch(self, wanted: Wanted) -> tuple[Flist, Sources]:
        """Return the flist, verified, and where its blocks come from."""
        ranked = rank_hubs(self.parameters.hubs, wanted, self.parameters.proxy)
        self.answers_s.update(ranked)
        self.home.mkdir(parents=True, exist_ok=True)
        incoming = self.home / f".{uuid.uuid4().hex}.fl"
        cache = self.find_cache()
        try:
            fetched = self.save(wanted, incoming, list(ranked), cache)
            flist = take(incoming, wanted)
        finally:
            incoming.unlink(missing_ok=True)
        self.signatures[wanted.name] = fetched.signature
        verified = "digest good" if wanted.sha256 else "signature good"
        log(f"flist {wanted.name} {fetched}, {verified}")
        if cache:
            keep_soon(cache, flist, fetched)
        return flist, self.sources(fetched.hub, list(ranked), cache)

    def look(self, flists: Sequence[Wanted]) -> dict[str, str]:
        """Return the signatures that the first hub that answers has now, by flist."""
        ranked = rank_hubs(self.parameters.hubs, flists[-1], self.parameters.proxy)
        return fetch_signatures(next(iter(ranked)), flists, self.parameters.proxy)

    def save(
        self, wanted: Wanted, target: Path, hubs: list[str], cache: DiskCache | None
    ) -> Fetched:
        """Save the flist as `target`: from the cache if what is there is wanted, else from a hub.

        Without a hub that answers, the signature in the cache counts.
        """
        if wanted.sha256 and cache and cache.take_flist(wanted.sha256, wanted.size, target):
            return Fetched(wanted.size)
        keys = [] if wanted.sha256 else load_public_keys(self.keys)
        signed = Signed(keys, memory_bytes() // FLIST_SHARE, cache)
        try:
            return fetch_from_any(hubs, wanted, target, signed, self.parameters.proxy, log)
        except NodeError as error:
            is_away = error.code != REFUSED and not isinstance(error, MissingError)
            if wanted.sha256 or not is_away or not signed.take_last(wanted.name, target):
                raise
            log(f"{error}; using what the cache has")
            return Fetched(target.stat().st_size)

    def sources(self, first: str, hubs: list[str], cache: DiskCache | None) -> Sources:
        """Return where blocks come from."""
        order = tuple(sorted(hubs, key=lambda hub: hub != first))
        proxy = self.parameters.proxy
        if cache is None:
            return Sources(order, proxy)
        return Sources(order, proxy, cache.blocks, cache.block_bytes(), is_shared=True)


def keep_soon(cache: DiskCache, flist: Flist, fetched: Fetched) -> None:
    """Do what `keep` does, meanwhile the node goes on."""
    threading.Thread(target=keep, args=(cache, flist, fetched), daemon=True).start()


def keep(cache: DiskCache, flist: Flist, fetched: Fetched) -> None:
    """Keep a flist on the disk for the next boot."""
    cache.keep_flist(flist)
    if fetched.signature:
        cache.write(key_of(flist.name), {"sha256": flist.sha256, "signature": fetched.signature})
