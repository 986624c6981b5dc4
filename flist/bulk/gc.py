"""Garbage collection: removes the blocks of a folder that no flist needs.

In a hub's folder, uploads, websites and published flists need theirs, too.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import UsageError
from flist.bulk.references import find_hub, published_flists, upload_names
from flist.errors import FlistError
from flist.format.opening import open_flist

GRACE_S = 3600.0
HUB_DATABASE = "hub.db"


class Garbage(NamedTuple):
    """The result of a collection, in blocks and bytes."""

    removed: int
    removed_bytes: int
    kept: int


def collect_garbage(
    folder: Path, metas: Sequence[Path], *, grace_s: float = GRACE_S, is_dry: bool = False
) -> Garbage:
    """Remove the blocks of the `dir` store `folder` that none of `metas` needs.

    Blocks younger than `grace_s` stay, because a running pack writes its flist last; a pack that
    relies on an old block makes it young again. Nothing is removed unless every flist is readable,
    and only files with the name of a block are removed. For the blocks of a hub, what the hub has
    published and taken counts beside `metas`.
    """
    if not folder.is_dir():
        raise FlistError(f"cannot collect in {folder}: it is not a directory")
    refuse_state(folder)
    hub = find_hub(folder)
    if not metas and hub is None:
        raise UsageError(
            "cannot collect: no flist is named, so every block would be removed",
            hint="--keep FLIST [FLIST ...]",
        )
    needed = needed_names(metas)
    if hub is not None:
        try:
            needed |= needed_names(published_flists(hub)) | set(upload_names(hub))
        except OSError as error:
            place = error.filename or hub
            raise FlistError(f"cannot collect: {place}: {error.strerror}") from error
    limit = time.time() - grace_s
    removed = size = kept = 0
    for path in sorted(block_files(folder)):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # another process removed it
        if path.name in needed or status.st_mtime > limit:
            kept += 1
            continue
        removed, size = removed + 1, size + status.st_size
        if not is_dry:
            path.unlink(missing_ok=True)
    return Garbage(removed, size, kept)


def refuse_state(folder: Path) -> None:
    """Raise `UsageError` for the blocks of a hub with accounts: its database says what it needs."""
    if (folder.resolve().parent / HUB_DATABASE).exists():
        raise UsageError(
            f"cannot collect in {folder}: it belongs to a hub with accounts", hint="`zos hub gc`"
        )


def needed_names(metas: Sequence[Path]) -> set[str]:
    """Return the names (hex ids) of all blocks that the flists need."""
    names: set[str] = set()
    for meta in metas:
        with open_flist(meta) as flist:
            names.update(block.id.hex() for _, block in flist.all_blocks())
    return names


def block_files(folder: Path) -> Iterator[Path]:
    """Yield the block files of a `dir` store: `hh/<name>`, or `<name>` in the flat layout."""
    for path in folder.iterdir():
        if len(path.name) == 2 and path.is_dir() and not path.is_symlink():
            yield from (p for p in path.iterdir() if p.name.startswith(path.name) and is_block(p))
        elif is_block(path):
            yield path


def is_block(path: Path) -> bool:
    """Return whether `path` is a regular file with the name of a block."""
    return is_block_name(path.name) and path.is_file() and not path.is_symlink()


def is_block_name(name: str) -> bool:
    """Return whether `name` is the hex id of a block of either format."""
    return len(name) in (32, 64) and not name.strip("0123456789abcdef")
