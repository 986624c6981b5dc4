"""Uploads of blocks to a hub, which need a token; the URLs are those of upstream's rfs server.

    POST /api/v1/block?file_hash=H&idx=N   a block; its name is the BLAKE2b-256 of the body
    POST /api/v1/block/verify              which of the given blocks are missing
    GET  /api/v1/blocks                    all blocks, page by page
    GET  /api/v1/blocks/<file hash>        the blocks of an uploaded file, in order
    GET  /api/v1/user/blocks               all blocks with their sizes (a hub's users share them)
    POST /api/v1/signin                    a token for a user's name and password

and POST /api/v1/file (flist.hub.files).

Upstream's client sends only those blocks of a file that `verify` calls missing. The hub must know
of every block where in the file it belongs, so it also calls a block missing that it has, but not
at that place of that file; if the question carries a token, it notes the place instead.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, Field

from flist.blocks.codec import digest
from flist.hub.access import Access
from flist.hub.bodies import MAX_JSON_BYTES, parse_model, read_json
from flist.hub.files import Files, add_file_upload, keep
from flist.hub.library import BLOCK
from flist.hub.listing import PER_PAGE, BlockList, parse_page
from flist.hub.settings import HubSettings
from flist.hub.users import MAX_PASSWORD, Users
from flist.server import api
from flist.store.folder import FolderStore
from serving.bodies import read_body
from serving.kit import Kit
from serving.pools import Pool
from serving.rates import RateLimit, TooManyRequestsError

MAX_BLOCK_BYTES = 4 << 20
MAX_SIGN_IN_BYTES = 16 << 10
MAX_INDEX = 1 << 32
MAX_WAITING_SIGN_INS = 512
"""Each takes about 50 ms of one thread: no client waits for minutes, however many ask."""


class BlockPlace(BaseModel):
    """One block in a client's question, and where it belongs; no file: the block alone."""

    block_hash: str
    file_hash: str = ""
    block_index: int

    @property
    def has_place(self) -> bool:
        """Return whether the block is one of a file's, and not the file itself."""
        return self.file_hash not in ("", self.block_hash)

    def check(self) -> None:
        """Answer 400 unless names and index are possible."""
        names = [self.block_hash, self.file_hash] if self.file_hash else [self.block_hash]
        if not all(BLOCK.fullmatch(name) for name in names):
            raise HTTPException(400, "not the name of a block or of a file")
        if not 0 <= self.block_index < MAX_INDEX:
            raise HTTPException(400, "not the index of a block")


class BlockPlaces(BaseModel):
    """The blocks in a client's question."""

    blocks: list[BlockPlace]


class SignIn(BaseModel):
    """A user's name and password."""

    username: str = Field(max_length=100)
    password: str = Field(max_length=MAX_PASSWORD)


def make_router(root: Path, store: FolderStore, access: Access, kit: Kit) -> APIRouter:
    """Return the routes that write files into the folder `root`, and blocks into its `store`."""
    router = APIRouter()
    files = Files(root)
    blocks = BlockList(root / "blocks")
    pool = kit.pools.uploads
    add_block_upload(router, files, store, access, pool)
    add_file_upload(router, files, store, access.demand_user, pool)
    add_sign_in(router, access.users, kit)
    add_verify(router, files, store, access, pool)
    add_lists(router, files, store, blocks, access)
    return router


def add_block_upload(
    router: APIRouter, files: Files, store: FolderStore, access: Access, pool: Pool
) -> None:
    """Add the route for uploads of blocks."""

    def take(body: bytes, file_hash: str, index: int) -> tuple[str, bool]:
        block_id = digest(body)
        place = BlockPlace(block_hash=block_id.hex(), file_hash=file_hash, block_index=index)
        is_new = not store.has(block_id)
        keep(store, block_id, body)
        if place.has_place and files.block_at(file_hash, index) != place.block_hash:
            files.note(file_hash, index, place.block_hash)
            is_new = True
        return place.block_hash, is_new

    @router.post(f"/{api.BLOCK}", status_code=201)
    async def take_block(
        request: Request, response: Response, file_hash: str = "", idx: str = "0"
    ) -> dict[str, str]:
        """Store a block."""
        access.demand_user(request)
        body = await read_body(request, MAX_BLOCK_BYTES)
        is_number = idx.isascii() and idx.isdigit() and len(idx) <= len(str(MAX_INDEX))
        is_file = not file_hash or BLOCK.fullmatch(file_hash)
        if not body or not is_file or not is_number or int(idx) >= MAX_INDEX:
            raise HTTPException(400, "no body, or a wrong file hash or index")
        name, is_new = await pool.run(take, body, file_hash, int(idx))
        response.status_code = 201 if is_new else 200
        return {"hash": name, "message": "stored" if is_new else "known"}


def add_sign_in(router: APIRouter, users: Users, kit: Kit) -> None:
    """Add the route that gives out tokens. Each client address has a rate limit."""
    settings = kit.settings
    assert isinstance(settings, HubSettings)
    limit = RateLimit(settings.sign_in_per_minute, settings.sign_in_burst)
    pool = kit.pools.passwords

    @router.post(f"/{api.SIGN_IN}", status_code=201, dependencies=[Depends(limit)])
    async def sign_in(request: Request) -> dict[str, str]:
        """Return a token for a user's name and password."""
        asked = parse_model(await read_json(request, MAX_SIGN_IN_BYTES), SignIn)
        if pool.waiting >= MAX_WAITING_SIGN_INS:  # clients of many addresses
            raise TooManyRequestsError(1)
        if not await pool.run(users.is_password, asked.username, asked.password):
            raise HTTPException(401, "no such user, or another password")
        return {"access_token": users.make_token(asked.username, time.time())}


def find_missing(
    files: Files, store: FolderStore, asked: Sequence[BlockPlace], *, may_note: bool
) -> list[str]:
    """Return which blocks the client must send; it relies on the others, so they become young."""
    missing = store.missing([bytes.fromhex(place.block_hash) for place in asked])
    found = []
    for place in asked:
        is_missing = bytes.fromhex(place.block_hash) in missing
        if not is_missing and place.has_place:
            is_known = files.block_at(place.file_hash, place.block_index) == place.block_hash
            if not is_known and may_note:
                files.note(place.file_hash, place.block_index, place.block_hash)
            is_missing = not is_known and not may_note
        if is_missing:
            found.append(place.block_hash)
    return found


def add_verify(
    router: APIRouter, files: Files, store: FolderStore, access: Access, pool: Pool
) -> None:
    """Add the question which blocks are missing; it needs no token, as on upstream's server.

    Questions without one have a thread of their own: uploads do not wait for them.
    """
    guests = Pool(1)

    def find(body: bytes, may_note: bool) -> list[str]:
        asked = parse_model(body, BlockPlaces).blocks  # in the pool: it takes much memory
        for place in asked:
            place.check()
        return find_missing(files, store, asked, may_note=may_note)

    @router.post(f"/{api.VERIFY}")
    async def verify_blocks(request: Request) -> dict[str, list[str]]:
        """Return which blocks are missing."""
        may_note = access.find_user(request) is not None
        body = await read_json(request, MAX_JSON_BYTES, is_guest=not may_note)
        chosen = pool if may_note else guests
        return {"missing": await chosen.run(find, body, may_note)}


def size_of(store: FolderStore, name: str) -> int:
    """Return the size of a block in bytes; 0 if it was removed a moment ago."""
    found = store.find(bytes.fromhex(name))
    try:
        return Path(found[0]).stat().st_size if found else 0
    except FileNotFoundError:
        return 0


def add_lists(
    router: APIRouter, files: Files, store: FolderStore, blocks: BlockList, access: Access
) -> None:
    """Add the lists of blocks: of all, of a user, of a file."""

    @router.get(f"/{api.BLOCKS}")
    def list_blocks(page: str = "1", per_page: str = str(PER_PAGE)) -> dict[str, Any]:
        """List all blocks, page by page."""
        number, rows = parse_page(page, per_page)
        names, total = blocks.page(number, rows)
        return {"blocks": names, "total": total, "page": number, "per_page": rows}

    @router.get(f"/{api.OWN_BLOCKS}")
    def list_own(
        request: Request, page: str = "1", per_page: str = str(PER_PAGE)
    ) -> dict[str, Any]:
        """List all blocks and their sizes, page by page."""
        access.demand_user(request)
        names, total = blocks.page(*parse_page(page, per_page))
        rows = [[name, size_of(store, name)] for name in names]
        return {"blocks": rows, "total": total, "all_blocks": total}

    @router.get(f"/{api.BLOCKS}/{{name}}")
    def list_parts(name: str) -> dict[str, Any]:
        """List the blocks of an uploaded file."""
        if not BLOCK.fullmatch(name):
            raise HTTPException(404, "no such file")
        parts = files.parts(name)
        if parts is None and store.has(bytes.fromhex(name)):
            parts = [(name, 0)]
        if parts is None:
            raise HTTPException(404, "no such file")
        return {"blocks": parts}
