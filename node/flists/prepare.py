"""Brings a wanted flist to this machine, verified and ready to be mounted."""

import uuid
from functools import partial
from pathlib import Path

from flist.format.signing.keys import load_public_keys
from node.flists.fetch import fetch_from_any, take
from node.flists.hubs import rank_hubs
from node.flists.model import FLISTS, Flist, Wanted
from node.flists.mounts import Sources, memory_bytes
from node.log import log as write_log
from node.model import BootParameters

KEYS = Path("/etc/zero-os/keys/flist.pub")
FLIST_SHARE = 16  # a flist may use a sixteenth of RAM before it is verified

log = partial(write_log, "bringup")


class Preparer:
    """Fetches flists from the hubs that the boot script names. Safe to use from several threads."""

    def __init__(self, parameters: BootParameters, keys: Path = KEYS, home: Path = FLISTS) -> None:
        self.parameters = parameters
        self.keys = keys
        self.home = home
        self.answers_s: dict[str, float | None] = dict.fromkeys(parameters.hubs)

    def fetch(self, wanted: Wanted) -> tuple[Flist, Sources]:
        """Return the flist, verified, and where its blocks come from."""
        proxy = self.parameters.proxy
        ranked = rank_hubs(self.parameters.hubs, wanted, proxy)
        self.answers_s.update(ranked)
        hubs = list(ranked)
        limit_bytes = memory_bytes() // FLIST_SHARE
        self.home.mkdir(parents=True, exist_ok=True)
        incoming = self.home / f".{uuid.uuid4().hex}.fl"
        try:
            keys = load_public_keys(self.keys)
            size, hub = fetch_from_any(hubs, wanted, incoming, keys, limit_bytes, proxy, log)
            flist = take(incoming, wanted)
        finally:
            incoming.unlink(missing_ok=True)
        verified = "digest good" if wanted.sha256 else "signature good"
        log(f"flist {wanted.name} fetched from {hub} ({size} bytes), {verified}")
        return flist, Sources((hub, *(other for other in hubs if other != hub)), proxy)
