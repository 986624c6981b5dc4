"""Writes what is public on a hub to a folder or a bucket, from which any web server serves nodes.

    <repo>/<name>.fl, .fl.sig     flists and their signatures (in a folder also below flists/)
    blocks/<hh>/<id>              blocks
    api/flist                     the list of the flists, so that hubs can follow an export

What is there already is not written again. A flist is written after all its blocks, so nodes can
read while an export runs. `prune` removes what the hub no longer has.
"""

import contextlib
import fnmatch
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from flist.hub.errors import AbsentError
from flist.hub.library.accepting import parse_flist
from flist.hub.library.hub import Hub
from flist.hub.mirror.targets import BLOCKS, LIST, Target, hash_pieces, read_pieces
from flist.hub.names import is_flist
from flist.hub.state.batches import batches
from flist.hub.state.viewer import ANYBODY
from flist.store.threads import thread_pool

THREADS = 8
EXPORTED = re.compile(r"blocks/[0-9a-f]{2}/[0-9a-f]{32,64}|[^/]+/[^/]+\.(fl|flist)(\.sig)?")
"""What an export writes, beside its list."""
Tell = Callable[[str], None]


@dataclass
class Exported:
    """What an export did."""

    flists: int = 0
    written: int = 0
    blocks: int = 0
    removed: int = 0

    def describe(self) -> str:
        """Return it in one line."""
        text = f"{self.flists} flists, {self.written} of them new, {self.blocks} blocks written"
        return f"{text}, {self.removed} files removed" if self.removed else text


class Exporter:
    """Exports from a hub to a target."""

    def __init__(self, hub: Hub, target: Target, tell: Tell = lambda _text: None) -> None:
        self.hub = hub
        self.target = target
        self.tell = tell
        self.done = Exported()

    def run(self, pattern: str = "*", *, is_pruning: bool = False) -> Exported:
        """Export the public flists that a shell pattern matches.

        Only all of them can be pruned: what else was exported may need the same blocks. Files
        that no export has written are left alone.
        """
        if is_pruning and pattern != "*":
            raise UsageError("cannot prune with a pattern", hint="export all, or do not prune")
        there = self.target.keys()
        wanted: set[str] = {LIST}
        names = []
        for name in self.hub.flists.names(ANYBODY):
            # Tag links are no files; a link may lead to what is gone, or private.
            if fnmatch.fnmatchcase(name, pattern) and is_flist(name.partition("/")[2]):
                with contextlib.suppress(AbsentError):
                    wanted |= self.export_flist(name, there)
                    names.append(name)
        self.write_if_new(LIST, json.dumps(names).encode())
        if is_pruning:
            for key in sorted(filter(EXPORTED.fullmatch, there - wanted)):
                self.target.remove(key)
                self.done.removed += 1
        return self.done

    def export_flist(self, name: str, there: set[str]) -> set[str]:
        """Export one flist, its blocks first; return the keys that belong to it."""
        repo, _, file = name.partition("/")
        entry = self.hub.flists.find(ANYBODY, repo, file)
        path = self.hub.contents.path(entry.digest)
        ids = parse_flist(path).blocks
        keys = {f"{BLOCKS}{id_.hex()[:2]}/{id_.hex()}": id_ for id_ in ids}
        self.write_blocks({key: id_ for key, id_ in keys.items() if key not in there})
        there |= keys.keys()
        self.done.flists += 1
        if self.write_if_new(name, path):
            self.done.written += 1
            self.tell(f"{name}: exported")
        signature = f"{name}.sig"
        versions = self.hub.flists.history(ANYBODY, entry.repository, entry.name)
        text = next((v.signature for v in versions if v.is_current), None)
        if text is None:
            return {*keys, name}
        self.write_if_new(signature, text.encode())
        return {*keys, name, signature}

    def write_blocks(self, keys: dict[str, bytes]) -> None:
        """Write blocks in several threads."""

        def write(key: str) -> None:
            self.target.write(key, self.hub.blocks.get(keys[key]))

        with thread_pool(THREADS) as pool:
            for batch in batches(keys):  # each job takes memory until it is done
                for _ in pool.map(write, batch):
                    self.done.blocks += 1

    def write_if_new(self, key: str, data: bytes | Path) -> bool:
        """Write a file unless it is there with the same content; return whether it was written."""
        pieces = [data] if isinstance(data, bytes) else read_pieces(data)
        if self.target.digest(key) == hash_pieces(pieces):
            return False
        self.target.write(key, data)
        return True
