"""Follows another hub: flists that changed there are published here, with the blocks that lack.

A flist is published only when all its blocks are here, so a pull that breaks off leaves every flist
as it was, and the next one fetches only what is still missing.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from common.errors import ZosError
from flist.hub.errors import AbsentError
from flist.hub.library.accepting import parse_flist
from flist.hub.library.hub import Hub
from flist.hub.mirror.peer import Peer, open_peer
from flist.hub.state.batches import batches
from flist.hub.state.viewer import Viewer
from flist.store.base import Store
from flist.store.threads import thread_pool

THREADS = 8
Tell = Callable[[str], None]


@dataclass
class Pulled:
    """What a pull did; `faults` has a line for each flist that could not be had."""

    changed: int = 0
    unchanged: int = 0
    blocks: int = 0
    bytes: int = 0
    faults: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """Return it in one line."""
        text = f"{self.changed} changed, {self.unchanged} unchanged, {self.blocks} blocks fetched"
        return f"{text}, {len(self.faults)} failed: {self.faults[0]}" if self.faults else text


class Follower:
    """Pulls from other hubs into `hub`, as the account of `viewer`."""

    def __init__(self, hub: Hub, viewer: Viewer, tell: Tell = lambda _text: None) -> None:
        self.hub = hub
        self.viewer = viewer
        self.tell = tell

    def pull(self, urls: str, pattern: str = "*", token: str = "") -> Pulled:
        """Pull the flists that `pattern` matches from the first hub of `urls` that answers.

        Raises `StoreError` if none does. What is wrong with one flist costs only that.
        """
        done = Pulled()
        peer, blocks = open_peer(urls, token)
        with closing(peer), closing(blocks):
            for name in peer.names(pattern):
                try:
                    self.pull_flist(peer, blocks, name, done)
                except ZosError as error:
                    done.faults.append(f"{name}: {error.message}")
                    self.tell(done.faults[-1])
        return done

    def pull_flist(self, peer: Peer, blocks: Store, name: str, done: Pulled) -> None:
        """Bring one flist, and its signature, to the state of the other hub."""
        repo, _, file = name.partition("/")
        ours = self.current(repo, file)
        theirs = peer.digest(name)
        if theirs == "absent":
            return  # removed a moment ago; nothing is removed here
        signature = peer.signature(name)
        if ours is not None and ours == (theirs, signature):
            done.unchanged += 1
            return
        if ours is not None and ours[0] == theirs and signature is not None:
            self.hub.flists.sign(self.viewer, repo, file, signature)
        else:
            self.fetch(peer, blocks, name, signature, done)
        done.changed += 1
        self.tell(f"{name}: up to date")

    def current(self, repo: str, file: str) -> tuple[str, str | None] | None:
        """Return digest and signature of what is published here, or None."""
        try:
            versions = self.hub.flists.history(self.viewer, repo, file)
        except AbsentError:
            return None
        current = next((version for version in versions if version.is_current), None)
        return None if current is None else (current.digest, current.signature)

    def fetch(
        self, peer: Peer, blocks: Store, name: str, signature: str | None, done: Pulled
    ) -> None:
        """Fetch a flist and the blocks that are not here, and publish it."""
        repo, _, file = name.partition("/")
        limit = self.hub.settings.max_flist_bytes
        draft = self.hub.contents.receive(peer.pieces(name), limit)
        try:
            ids = parse_flist(draft.path).blocks
            self.fetch_blocks(blocks, sorted(self.hub.blocks.missing(ids)), done)
            self.make_repository(repo)
            self.hub.flists.publish(self.viewer, repo, file, draft, signature)
        finally:
            draft.discard()

    def fetch_blocks(self, source: Store, ids: list[bytes], done: Pulled) -> None:
        """Fetch blocks in several threads; the first error stops the rest."""

        def fetch(block_id: bytes) -> int:
            data = source.get(block_id)  # checked against its id on arrival
            self.hub.blocks.put(self.viewer, block_id, data, is_open=False)
            return len(data)

        with thread_pool(THREADS) as pool:
            for batch in batches(ids):  # each job takes memory until it is done
                for size in pool.map(fetch, batch):
                    done.blocks += 1
                    done.bytes += size
        self.hub.store.flush()

    def make_repository(self, repo: str) -> None:
        """Make the repository if it is not there."""
        try:
            self.hub.repositories.find(self.viewer, repo)
        except AbsentError:
            self.hub.repositories.create(self.viewer, repo)
