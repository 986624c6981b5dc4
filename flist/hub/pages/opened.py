"""Flists that are open for reading, shared by the requests that come one after another."""

import contextlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

from flist.format.digests import make_digests
from flist.format.legacy.flist import LegacyFlist
from flist.format.opening import AnyFlist
from flist.mount.tree import Tree

if TYPE_CHECKING:
    from flist.format.database import FlistFile

KEPT = 16
PER_UNIT = 100_000
"""An older flist is in memory as a whole: it counts once more for so many entries."""


class OpenTree(Tree):
    """An open flist as a tree; what was once computed of it is kept as long as it is open."""

    def __init__(self, source: AnyFlist) -> None:
        super().__init__(source)
        self.digesting = threading.Lock()

    @property
    def digests(self) -> dict[int, bytes]:
        """A digest of each directory with all that is below it (`flist.format.digests`)."""
        with self.digesting:
            return self.made_digests

    @cached_property
    def made_digests(self) -> dict[int, bytes]:
        """The digests; one thread at a time may ask for them."""
        return make_digests(flist_of(self))


@dataclass
class Lease:
    """An open flist, and how many requests use it."""

    opening: threading.Lock = field(default_factory=threading.Lock)
    tree: OpenTree | None = None
    users: int = 0
    weight: int = 1


class OpenFlists:
    """The flists that were read last, by digest. Threads share it.

    Who may read a flist is asked before, and each time anew.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.kept = kept
        self.leases: OrderedDict[str, Lease] = OrderedDict()
        self.lock = threading.Lock()
        weakref.finalize(self, close_all, self.leases)

    @contextlib.contextmanager
    def use(self, digest: str, open_flist: Callable[[], AnyFlist]) -> Iterator[OpenTree]:
        """Give the flist with this digest; it stays open for the block. `open_flist` opens it if it
        is not open yet."""
        with self.lock:
            lease = self.leases.setdefault(digest, Lease())
            self.leases.move_to_end(digest)
            lease.users += 1
        try:
            with lease.opening:
                if lease.tree is None:
                    flist = open_flist()
                    lease.tree, lease.weight = OpenTree(flist), weigh(flist)
            yield lease.tree
        finally:
            with self.lock:
                lease.users -= 1
            self.drop()

    def drop(self) -> None:
        """Close what was used longest ago, as far as all weigh too much."""
        closing = []
        with self.lock:
            left = sum(lease.weight for lease in self.leases.values()) - self.kept
            for digest, lease in list(self.leases.items()):
                if lease.users == 0 and (left > 0 or lease.tree is None):
                    left -= lease.weight
                    closing.append(self.leases.pop(digest))
        for lease in closing:
            if lease.tree is not None:
                flist_of(lease.tree).close()


def close_all(leases: Mapping[str, Lease]) -> None:
    """Close all that is open."""
    for lease in leases.values():
        if lease.tree is not None:
            flist_of(lease.tree).close()


def weigh(flist: AnyFlist) -> int:
    """Return for how many an open flist counts."""
    if isinstance(flist, LegacyFlist):
        return 1 + len(flist.decoded.inodes) // PER_UNIT
    return 1


def flist_of(tree: Tree) -> AnyFlist:
    """Return the flist of a tree that `OpenFlists` gave."""
    return cast("FlistFile | LegacyFlist", tree.source)
