"""Websites from flists that were uploaded as files: `/website/<flist's file hash>/<path>`.

A directory shows its index.html. Only regular files are served; symbolic links are not followed.
The browser gives the pages an origin of their own (CSP `sandbox`).
"""

import contextlib
import hashlib
import mimetypes
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from common.scratch import scratch
from flist.blocks.codec import decode
from flist.errors import FlistError, StoreError
from flist.format.database import FlistFile
from flist.hub.library.hub import Hub
from flist.hub.names import DIGEST
from flist.hub.state.blocks import Blocks
from flist.hub.web.rfs.files import Files
from flist.model import CHUNK_BYTES, Block, Inode, chunk_count, chunk_size
from flist.mount.tree import Tree
from serving.openapi import IN_PARTS, reading
from serving.pools import Pool
from serving.respond import send_content

MAX_FLIST_BYTES = 32 << 20
KEPT_FLISTS = 16
KEPT_CHUNKS = 64
INDEX = b"index.html"
SANDBOX = "sandbox allow-scripts allow-forms allow-popups"
MOVED: dict[str, Any] = {
    "response_class": Response,
    "responses": {**IN_PARTS, 307: {"description": "The same address with a slash at its end"}},
}
HEADERS = {"Content-Security-Policy": SANDBOX, "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Page:
    """A file of a website, whose blocks are read while they are sent."""

    decoded: "DecodedChunks"
    inode: Inode
    blocks: Sequence[Block]
    count: Callable[[str], None]
    counted: set[int] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.inode.size

    @property
    def etag(self) -> str:
        """Return the hash of its blocks' plain hashes."""
        keys = b"".join(block.key for block in self.blocks)
        return f'"{hashlib.sha256(keys).hexdigest()}"'

    async def read(self, start: int, size: int) -> bytes:
        """Return bytes of the chunk that `start` lies in; damaged blocks end the response."""
        index, offset = divmod(start, CHUNK_BYTES)
        block, length = self.blocks[index], chunk_size(self.size, index)
        if index not in self.counted:
            self.counted.add(index)
            self.count(block.id.hex())
        plain = await self.decoded.get(block, length)
        return plain[offset : offset + size]

    def close(self) -> None:
        """Do nothing: no block stays open."""


class DecodedChunks:
    """The chunks that were decoded last, shared by all responses: `KEPT_CHUNKS` of 512 KiB."""

    def __init__(self, blocks: Blocks, pool: Pool) -> None:
        self.blocks = blocks
        self.pool = pool
        self.kept: OrderedDict[Block, bytes] = OrderedDict()  # who has no key gets nothing

    async def get(self, block: Block, length: int) -> bytes:
        """Return the plain bytes of a block."""
        plain = self.kept.get(block)
        if plain is None:
            plain = self.kept[block] = await self.pool.run(self.decode, block, length)
        self.kept.move_to_end(block)
        while len(self.kept) > KEPT_CHUNKS:
            self.kept.popitem(last=False)
        return plain

    def decode(self, block: Block, length: int) -> bytes:
        """Read, check and decode a block. Raises `StoreError` or `BlockError`."""
        return decode(block, self.blocks.get(block.id), length)


class Websites:
    """The flists whose pages were requested last, as files in a folder of this run."""

    def __init__(self, hub: Hub, files: Files, count: Callable[[str], None], pool: Pool) -> None:
        self.hub = hub
        self.files = files
        self.count = count
        self.decoded = DecodedChunks(hub.blocks, pool)
        self.ending = contextlib.ExitStack()
        weakref.finalize(self, self.ending.close)
        self.kept: OrderedDict[str, Path] = OrderedDict()
        self.lock = threading.Lock()

    def page(self, name: str, path: bytes) -> Page | None:
        """Return the file at `path` of the flist `name`; None for a directory without a slash at
        the end of its path. Raises `FlistError` and `FileNotFoundError`."""
        with self.lock, FlistFile.open(self.flist(name)) as flist:
            tree = Tree(flist)
            inode = tree.find(b"/" + path)
            if inode.is_dir and path and not path.endswith(b"/"):
                return None
            found = tree.lookup(inode.ino, INDEX) if inode.is_dir else inode
            if found is None or not found.is_file:
                raise FileNotFoundError(path)
            blocks = tree.blocks(found)
            if len(blocks) != chunk_count(found.size):
                raise FlistError("cannot read the page: its list of blocks is incomplete")
            if not all(self.is_there(block.id) for block in blocks):
                raise StoreError("cannot read the page: its blocks are not there yet")
            return Page(self.decoded, found, blocks, self.count)

    def is_there(self, block_id: bytes) -> bool:
        """Return whether everybody may read a block, and the store has it."""
        return self.hub.readers.is_open(block_id) and self.hub.blocks.size(block_id) is not None

    @cached_property
    def folder(self) -> Path:
        """The folder of the flists: made for the first one, removed when the hub ends, or by a
        later one if it was killed."""
        return self.ending.enter_context(scratch("hub"))

    def flist(self, name: str) -> Path:
        """Return the path of a flist's file, which is assembled once."""
        known = self.kept.get(name)
        if known is None:
            known = self.folder / f"{name}.fl"
            known.write_bytes(self.assemble(name))
            self.kept[name] = known
        self.kept.move_to_end(name)
        while len(self.kept) > KEPT_FLISTS:
            self.kept.popitem(last=False)[1].unlink()
        return known

    def assemble(self, name: str) -> bytes:
        """Return the bytes of an uploaded file. Raises `FileNotFoundError` and `FlistError`."""
        names = self.files.blocks(name)
        if not names:
            raise FileNotFoundError(name)
        data = bytearray()
        for block_id in map(bytes.fromhex, names):
            if not self.hub.readers.is_open(block_id):
                raise FileNotFoundError(name)
            data += self.hub.blocks.get(block_id)
            if len(data) > MAX_FLIST_BYTES:
                raise FlistError("cannot show the website: its flist is too large")
        return bytes(data)


def make_router(websites: Websites, pool: Pool) -> APIRouter:
    """Return the route of websites."""
    router = APIRouter()

    @reading(router, "/website/{name}", **MOVED)
    @reading(router, "/website/{name}/{path:path}", **MOVED)
    async def read_page(request: Request, name: str, path: str | None = None) -> Response:
        """Return a page of a website."""
        if not DIGEST.fullmatch(name):
            raise HTTPException(404, "there is no such website")
        if path is None:
            return move_to(name)
        try:
            page = await pool.run(websites.page, name, path.encode(errors="surrogateescape"))
        except (FileNotFoundError, NotADirectoryError, StoreError) as error:
            raise HTTPException(404, "there is no such page") from error
        except FlistError as error:
            # The error's text names a temporary file of this machine.
            raise HTTPException(404, "this website's flist cannot be read") from error
        if page is None:
            return move_to(path.rpartition("/")[2])
        kind = mimetypes.guess_type(page.inode.name.decode(errors="replace"))[0]
        return send_content(request, page, kind or "application/octet-stream", HEADERS)

    return router


def move_to(last: str) -> Response:
    """Redirect to the same address with a slash at its end, which a page's relative links need."""
    return Response(status_code=307, headers={"Location": f"./{quote(last)}/"})
