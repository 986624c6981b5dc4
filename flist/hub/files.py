"""Files that were uploaded, as the blocks they consist of, and how they are fetched whole.

    POST /api/v1/file           a whole file; its name is the SHA-256 of the body
    GET  /api/v1/file/<hash>    a file, whichever way it came

A client that sends blocks one by one names the file by the SHA-256 of the blocks' names, in hex one
after the other; which blocks they are stands in `files/<hash>/<index>`. Of a file that came whole
that stands in `files/<hash>.blocks`, written when all of it was there.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from common.files import write_atomic
from flist.blocks.codec import digest
from flist.errors import StoreError
from flist.hub.library import BLOCK, Library
from flist.server.client import DEFAULT_BLOCK_BYTES, name_file
from flist.store.folder import FolderStore
from serving.respond import send_content

MAX_FILE_BYTES = 1 << 30
HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}
BINARY = "application/octet-stream"


class Files:
    """What is known about the files of the hub folder `root`."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "files"

    def note(self, name: str, index: int, block: str) -> None:
        """Note that `block` is part `index` of the file `name`."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / str(index), block.encode())

    def keep(self, name: str, blocks: Sequence[str]) -> None:
        """Note all blocks of the file `name`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{block}\n" for block in blocks)
        write_atomic(self.folder / f"{name}.blocks", text.encode())

    def parts(self, name: str) -> list[tuple[str, int]] | None:
        """Return the blocks that are known of a file with their index, in order; None: no file."""
        try:
            text = (self.folder / f"{name}.blocks").read_text()
        except FileNotFoundError:
            pass
        else:
            return [(block, index) for index, block in enumerate(text.split())]
        folder = self.folder / name
        if not folder.is_dir():
            return None
        paths = [path for path in folder.iterdir() if re.fullmatch(r"\d+", path.name)]
        parts = {int(path.name): path.read_text() for path in paths}
        return [(parts[index], index) for index in sorted(parts)]

    def blocks(self, name: str) -> list[str] | None:
        """Return the blocks of a file that is there completely, None if there is none."""
        parts = self.parts(name)
        if parts is None:
            return [name]  # a file of one block may have the block's name
        blocks = [block for block, _ in parts]
        is_whole = (self.folder / f"{name}.blocks").exists() or name_file(blocks) == name
        return blocks if is_whole else None


@dataclass(frozen=True, slots=True)
class Joined:
    """Blocks one after the other, each read when it is sent."""

    store: FolderStore
    names: Sequence[str]
    sizes: Sequence[int]
    etag: str
    count: Callable[[str], None]

    @property
    def size(self) -> int:
        """Return the length of all blocks."""
        return sum(self.sizes)

    async def chunks(self, span: range) -> AsyncIterator[bytes]:
        """Yield the bytes of `span`."""
        start = 0
        for name, size in zip(self.names, self.sizes, strict=True):
            first, last = max(span.start - start, 0), min(span.stop - start, size)
            if first < last:
                self.count(name)
                data = await to_thread.run_sync(self.store.get, bytes.fromhex(name))
                yield data[first:last]
            start += size

    def close(self) -> None:
        """Nothing is open."""


def make_router(library: Library, files: Files, count: Callable[[str], None]) -> APIRouter:
    """Return the route that gives files out; `count` is told of each block that is sent."""
    router = APIRouter()
    store = FolderStore(library.blocks)

    @router.api_route("/api/v1/file/{name}", methods=["GET", "HEAD"], response_class=Response)
    def read_file(request: Request, name: str) -> Response:
        """Return a file."""
        names = files.blocks(name) if BLOCK.fullmatch(name) else None
        paths = [library.block(block) for block in names or []]
        if names is None or None in paths:
            raise HTTPException(404, "there is no such file")
        sizes = [path.stat().st_size for path in paths if path]
        content = Joined(store, names, sizes, f'"{name}"', count)
        return send_content(request, content, BINARY, HEADERS)

    return router


def add_file_taking(
    router: APIRouter, files: Files, store: FolderStore, demand_token: Callable[[Request], None]
) -> None:
    """Add the route that takes files."""

    def put(piece: bytes) -> str:
        name = digest(piece)
        keep(store, name, piece)
        return name.hex()

    @router.post("/api/v1/file", status_code=201)
    async def take_file(request: Request) -> dict[str, str]:
        """Take a file; blocks of one that breaks off stay, and are no file."""
        demand_token(request)
        names = []
        whole = hashlib.sha256()
        async for piece in read_pieces(request, DEFAULT_BLOCK_BYTES, MAX_FILE_BYTES):
            whole.update(piece)
            names.append(await to_thread.run_sync(put, piece))
        name = whole.hexdigest()
        await to_thread.run_sync(store.flush)  # the blocks are on disk before the file is known
        files.keep(name, names)
        return {"file_hash": name, "message": "stored"}


async def read_pieces(request: Request, size: int, limit: int) -> AsyncIterator[bytes]:
    """Yield the body in pieces of `size` bytes, the last shorter; 413 for more than `limit`."""
    pending = bytearray()
    total = 0
    async for data in request.stream():
        total += len(data)
        if total > limit:
            raise HTTPException(413, f"more than {limit} bytes")
        pending += data
        while len(pending) >= size:
            yield bytes(pending[:size])
            del pending[:size]
    if pending:
        yield bytes(pending)


def keep(store: FolderStore, block_id: bytes, body: bytes) -> None:
    """Keep a block; answers 507 when the disk is full."""
    try:
        store.put(block_id, body)
    except StoreError as error:
        raise HTTPException(507, error.message) from error
