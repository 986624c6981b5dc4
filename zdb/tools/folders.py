"""The folders of a server: which namespaces are in them, and the lock that a server holds."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zdb.errors import ZdbError
from zdb.storage.store import is_name, lock

Tell = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is done, and how much there is."""


def tell_nobody(what: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Folders:
    """Where the data and the index of a server are."""

    data: Path
    index: Path

    def names(self, wanted: list[str] | None = None) -> list[str]:
        """Return the namespaces that have a folder; raise for a wanted one that has none."""
        found = sorted(
            {
                folder.name
                for top in (self.data, self.index)
                if top.is_dir()
                for folder in top.iterdir()
                if folder.is_dir() and is_name(folder.name)
            }
        )
        for name in wanted or ():
            if name not in found:
                raise ZdbError(f"cannot find namespace {name} in {self.data} or {self.index}")
        return wanted or found

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep servers away while the block runs."""
        handles: list[int] = []
        try:
            for folder in dict.fromkeys((self.data, self.index)):
                if not folder.is_dir():
                    raise ZdbError(f"cannot find the folder {folder}")
                handles.append(lock(folder))
            yield
        finally:
            for handle in handles:
                os.close(handle)
