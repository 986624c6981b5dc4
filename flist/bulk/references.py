"""What refers to blocks of a hub's folder, beside the flists that a user names.

    blocks/                   the blocks
    files/<hash>.blocks       an upload: the names of its blocks, one per line
    files/<hash>/<index>      the same, one file per block, also while the upload runs
    **/*.fl, **/*.flist       published flists, and earlier versions of them

An upload that is itself a flist (a website) needs the blocks of that flist, too.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from common.files import open_regular
from flist.errors import FlistError
from flist.format.database import FlistFile
from flist.format.sqlitefile import MAGIC
from flist.store.folder import FolderStore

NAME = re.compile(r"[0-9a-f]{64}")
SUFFIXES = (".fl", ".flist")
BLOCKS, FILES = "blocks", "files"
MAX_LIST_BYTES = 64 << 20
MAX_FLIST_BYTES = 1 << 30


def find_hub(folder: Path) -> Path | None:
    """Return the folder of the hub whose blocks are in `folder`, or None if they are not a hub's.
    There is one if uploads or published flists lie beside."""
    top = folder.resolve().parent
    if folder.resolve().name != BLOCKS:
        return None
    return top if any((top / name).is_dir() for name in (FILES, "flists")) else None


def published_flists(hub: Path) -> list[Path]:
    """Return all flists in a hub's folder; raises `OSError` for what can't be listed."""
    found = []
    for folder, folders, files in os.walk(hub, onerror=raise_error):
        place = Path(folder)
        if place == hub:
            folders[:] = [name for name in folders if name not in (BLOCKS, FILES)]
        found += [place / name for name in files if name.endswith(SUFFIXES)]
    return sorted(found)


def raise_error(error: OSError) -> None:
    """Raise `error`, which `os.walk` would pass over."""
    raise error


def upload_names(hub: Path) -> Iterator[str]:
    """Yield the names of all blocks that uploads need; raises `FlistError` and `OSError`."""
    store = FolderStore(hub / BLOCKS)
    for blocks in uploads(hub / FILES):
        yield from blocks
        yield from website_names(store, blocks)


def uploads(folder: Path) -> Iterator[list[str]]:
    """Yield the names of the blocks of each upload, in order."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            indexes = sorted((p for p in path.iterdir() if p.name.isdigit()), key=index_of)
            yield [name for part in indexes for name in read_names(part)]
        elif path.suffix == ".blocks":
            yield read_names(path)


def index_of(path: Path) -> int:
    """Return the index of a block from its file's name."""
    return int(path.name)


def read_names(path: Path) -> list[str]:
    """Return the names of blocks in a file; raises `FlistError` for anything else in it."""
    with open_regular(path) as stream:
        words = stream.read(MAX_LIST_BYTES).decode(errors="replace").split()
    if not all(map(NAME.fullmatch, words)):
        raise FlistError(f"cannot read {path}: it holds something that is no name of a block")
    return words


def website_names(store: FolderStore, blocks: list[str]) -> Iterator[str]:
    """Yield the names of the blocks that an upload needs if it is a flist."""
    head = read_head(store, blocks[0]) if blocks else b""
    if head != MAGIC:
        return
    with tempfile.TemporaryDirectory(prefix="flist-") as folder:
        place = Path(folder) / "upload.fl"
        if not assemble(store, blocks, place):
            return  # not all of it has arrived
        try:
            flist = FlistFile.open(place)
        except FlistError:
            return  # another database
        with closing(flist):
            yield from (block.id.hex() for _, block in flist.all_blocks())


def read_head(store: FolderStore, name: str) -> bytes:
    """Return the first bytes of a block, none if it is not there."""
    return store.get_range(bytes.fromhex(name), 0, len(MAGIC)) or b""


def assemble(store: FolderStore, blocks: list[str], place: Path) -> bool:
    """Write an upload to a file; return whether all of it is there, and not too large."""
    size = 0
    with place.open("wb") as stream:
        for name in blocks:
            block_id = bytes.fromhex(name)
            if size > MAX_FLIST_BYTES or not store.has(block_id):
                return False
            size += stream.write(store.get(block_id))
    return True
