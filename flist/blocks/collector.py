"""Keeps Python's cycle collector away from work that makes many objects and hardly a cycle.

Reading a flist makes a small tuple for each entry and block. The collector would traverse all of
them again and again.
"""

import contextlib
import gc
from collections.abc import Iterator

THRESHOLD = 50_000
"""Container objects allocated beyond those freed before a collection starts: a few MB."""


def collect_rarely() -> None:
    """Exempt every object that exists now from collection, and collect later ones rarely."""
    gc.freeze()
    gc.set_threshold(THRESHOLD)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Turn the collector off for the block.

    Collections take a tenth of the time of listing a tree. What exists at the end of the block is
    exempt from later collections, too: to traverse it would take half of the time that the process
    needs to exit.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
