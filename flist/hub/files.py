"""Uploaded files: the blocks that they consist of, and how a client fetches them whole.

    POST /api/v1/file           a whole file; its name is the SHA-256 of the body
    GET  /api/v1/file/<hash>    a file, whichever way it was uploaded

A client that sends blocks one by one names the file by the SHA-256 of the blocks' names, in hex one
after the other; `files/<hash>/<index>` holds the name of each block. For a file that was uploaded
whole, `files/<hash>.blocks` lists them; it is written once all blocks are stored.
"""

import errno
import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from common.files import open_regular, write_atomic
from flist.blocks.codec import digest
from flist.errors import StoreError
from flist.hub.library import BLOCK, Library
from flist.server import api
from flist.server.names import DEFAULT_BLOCK_BYTES, name_file
from flist.store.folder import FolderStore
from serving.bodies import read_pieces
from serving.pools import Pool
from serving.respond import send_content

MAX_FILE_BYTES = 1 << 30
LINE_BYTES = 65  # of a list: the name of a block and a newline
INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP)
"""What `open_regular` says of what is not there, or is no file."""
HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}
BINARY = "application/octet-stream"


class Files:
    """The lists of blocks of the files in the hub folder `root`.

    A list that does not hold names of blocks, as after a power cut, counts as absent.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "files"

    def note(self, name: str, index: int, block: str) -> None:
        """Record that `block` is part `index` of the file `name`."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / str(index), block.encode())

    def keep(self, name: str, blocks: Sequence[str]) -> None:
        """Record all blocks of the file `name`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{block}\n" for block in blocks)
        write_atomic(self.folder / f"{name}.blocks", text.encode())

    def block_at(self, name: str, index: int) -> str | None:
        """Return the block that is known as part `index` of the file `name`, or None."""
        start = index * LINE_BYTES
        found = read_names(self.folder / f"{name}.blocks", start, LINE_BYTES)
        if found is None:
            found = self.part(name, str(index))
        return found[0] if found else None

    def part(self, name: str, index: str) -> list[str]:
        """Return the block of one part of a file, in a list; an empty one if it is not known."""
        return (read_names(self.folder / name / index, 0, LINE_BYTES) or [])[:1]

    def parts(self, name: str) -> list[tuple[str, int]] | None:
        """Return the known blocks of a file with their indexes, in order; None: no such file."""
        whole = self.whole(name)
        if whole is not None:
            return [(block, index) for index, block in enumerate(whole)]
        folder = self.folder / name
        if not folder.is_dir():
            return None
        indexes = sorted(int(path.name) for path in folder.iterdir() if INDEX.fullmatch(path.name))
        return [(block, index) for index in indexes for block in self.part(name, str(index))]

    def whole(self, name: str) -> list[str] | None:
        """Return the blocks of a file that was uploaded whole, or None."""
        return read_names(self.folder / f"{name}.blocks")

    def blocks(self, name: str) -> list[str] | None:
        """Return the blocks of a file that was uploaded completely; None if there is none."""
        parts = self.parts(name)
        if parts is None:
            return [name]  # a file of one block may have the block's name
        blocks = [block for block, _ in parts]
        is_whole = self.whole(name) is not None or name_file(blocks) == name
        return blocks if is_whole else None


def read_names(path: Path, start: int = 0, size: int = -1) -> list[str] | None:
    """Return the names of blocks in a file; None unless it is there and holds nothing else."""
    try:
        with open_regular(path) as stream:
            stream.seek(start)
            names = stream.read(size).decode(errors="replace").split()
    except OSError as error:
        if error.errno not in ABSENT:
            raise
        return None
    return names if all(BLOCK.fullmatch(name) for name in names) else None


@dataclass(frozen=True, slots=True)
class Joined:
    """Blocks one after the other, read while they are sent."""

    store: FolderStore
    names: Sequence[str]
    ends: Sequence[int]  # the offset at which each block ends
    etag: str
    count: Callable[[str], None]
    counted: set[int] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Return the length of all blocks."""
        return self.ends[-1] if self.ends else 0

    async def read(self, start: int, size: int) -> bytes:
        """Return bytes of the block that `start` lies in; its first read counts as a download."""
        index = bisect_right(self.ends, start)
        name = self.names[index]
        if index not in self.counted:
            self.counted.add(index)
            self.count(name)
        offset = start - (self.ends[index - 1] if index else 0)
        return await to_thread.run_sync(self.read_block, bytes.fromhex(name), offset, size)

    def read_block(self, block_id: bytes, start: int, size: int) -> bytes:
        """Return bytes of one block. Raises `StoreError` if they are no longer there."""
        data = self.store.get_range(block_id, start, size)
        if data is None:  # an older tool wrote it, not into a folder
            data = self.store.get(block_id)[start : start + size]
        if not data:
            raise StoreError("the block became shorter while it was sent")
        return data

    def close(self) -> None:
        """Do nothing: no block stays open."""


def make_router(library: Library, files: Files, count: Callable[[str], None]) -> APIRouter:
    """Return the route of files; `count` is called for each block that is sent."""
    router = APIRouter()
    store = FolderStore(library.blocks)

    @router.api_route(f"/{api.FILE}/{{name}}", methods=["GET", "HEAD"], response_class=Response)
    def read_file(request: Request, name: str) -> Response:
        """Return a file."""
        names = files.blocks(name) if BLOCK.fullmatch(name) else None
        paths = [library.block(block) for block in names or []]
        if names is None or None in paths:
            raise HTTPException(404, "there is no such file")
        try:
            ends = list(accumulate(path.stat().st_size for path in paths if path))
        except FileNotFoundError as error:  # a block was removed a moment ago
            raise HTTPException(404, "there is no such file") from error
        content = Joined(store, names, ends, f'"{name}"', count)
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}.bin"'}
        return send_content(request, content, BINARY, headers)

    return router


def add_file_upload(
    router: APIRouter,
    files: Files,
    store: FolderStore,
    demand_user: Callable[[Request], str],
    pool: Pool,
) -> None:
    """Add the route for uploads of whole files."""

    def put(piece: bytes, whole: Any) -> str:
        whole.update(piece)
        name = digest(piece)
        keep(store, name, piece)
        return name.hex()

    @router.post(f"/{api.FILE}", status_code=201)
    async def take_file(request: Request) -> dict[str, str]:
        """Store a file. If the upload breaks off, its blocks stay, but no file refers to them."""
        demand_user(request)
        whole = hashlib.sha256()
        pieces = read_pieces(request, DEFAULT_BLOCK_BYTES, MAX_FILE_BYTES)
        names = [await pool.run(put, piece, whole) async for piece in pieces]
        name = whole.hexdigest()
        await pool.run(store.flush)  # the blocks are on disk before the file refers to them
        await pool.run(files.keep, name, names)
        return {"file_hash": name, "message": "stored"}


def keep(store: FolderStore, block_id: bytes, body: bytes) -> None:
    """Store a block. What the system refuses is answered without a path of this machine."""
    try:
        store.put(block_id, body)
    except StoreError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        raise
