"""What an flist holds, as 0-hub lists it."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from flist.errors import FlistError
from flist.format.legacy.flist import LegacyFlist
from flist.format.opening import AnyFlist
from flist.hub.web.zerohub.texts import Counts
from flist.model import ROOT_INO, Inode

DIRECTORY_BYTES = 4096
MAX_ENTRIES = 2_000_000
MAX_PATH_CHARS = 256 << 20
"""In all: a tree of deep directories could otherwise take any amount of memory."""
PARSED = ("backend", "entrypoint", "environ", "port", "volume", "readme")
"""Metadata that is JSON; upstream's clients may not set it by themselves. Free keys are text."""


@dataclass(slots=True)
class Contents:
    """All paths of an flist with their sizes, and the counts."""

    content: list[dict[str, object]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def as_json(self) -> dict[str, object]:
        """Return upstream's listing."""
        return {"content": self.content, **self.counts.as_json()}


def walk(flist: AnyFlist) -> Iterator[tuple[str, Inode]]:
    """Yield path and inode of everything below the root.

    Raises `FlistError` for an flist that holds itself, or too much.
    """
    known = {ROOT_INO}
    waiting = deque([(ROOT_INO, "")])
    left = MAX_PATH_CHARS
    while waiting:
        folder, place = waiting.popleft()
        for inode in flist.children(folder):
            path = f"{place}/{inode.name.decode(errors='replace')}"
            left -= len(path)
            if inode.ino in known or len(known) > MAX_ENTRIES or left < 0:
                raise FlistError("the flist has too many entries, or one that is in two places")
            known.add(inode.ino)
            yield path, inode
            if inode.is_dir:
                waiting.append((inode.ino, path))


def read_contents(flist: AnyFlist) -> Contents:
    """Return what an flist holds."""
    found = Contents()
    for path, inode in walk(flist):
        found.content.append({"size": count(found.counts, inode), "path": path})
    return found


def count(counts: Counts, inode: Inode) -> int:
    """Count an inode, and return the size that is shown for it."""
    if inode.is_dir:
        counts.directory += 1
        return DIRECTORY_BYTES
    if inode.is_link:
        counts.symlink += 1
        return inode.size
    if inode.is_file:
        counts.regular += 1
        counts.fullsize += inode.size
        return inode.size
    counts.special += 1
    return 0


def read_metadata(flist: AnyFlist) -> dict[str, object]:
    """Return the metadata of an flist: of the older format as its tools wrote it, else its tags."""
    if not isinstance(flist, LegacyFlist):
        return dict(flist.tags())
    return {key: parse(key, text) for key, text in flist.metadata.items()}


def parse(key: str, text: str) -> object:
    """Return one value of the metadata; JSON that is damaged is shown as text."""
    if key not in PARSED:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
