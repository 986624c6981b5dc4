"""Uploads of blocks, which need a token; the URLs are those of upstream's rfs server.

    POST /api/v1/block?file_hash=H&idx=N   a block; its name is the BLAKE2b-256 of the body
    POST /api/v1/block/verify              which of the given blocks are missing
    GET  /api/v1/blocks                    all blocks, page by page
    GET  /api/v1/blocks/<file hash>        the blocks of an uploaded file, in order
    GET  /api/v1/user/blocks               the user's own blocks with their sizes

Upstream's client sends only those blocks of a file that `verify` calls missing. The hub must know
of every block where in the file it belongs, so it also calls a block missing that it has, but not
at that place of that file; if the question carries a token, it notes the place instead.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel

from flist.blocks.codec import digest
from flist.hub.library.hub import Hub
from flist.hub.library.readers import is_readable
from flist.hub.names import BLOCK, DIGEST
from flist.hub.state.tables import BLOCKS
from flist.hub.state.viewer import READ, UPLOAD, Viewer
from flist.hub.web.bodies import MAX_JSON_BYTES, parse_model, read_json
from flist.hub.web.rfs.files import Files
from flist.hub.web.rfs.listing import PER_PAGE, parse_page
from flist.hub.web.viewers import demand, viewer
from flist.server import api
from serving.bodies import read_body
from serving.pools import Pool

MAX_INDEX = 1 << 32


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
        is_file = not self.file_hash or DIGEST.fullmatch(self.file_hash)
        if not BLOCK.fullmatch(self.block_hash) or not is_file:
            raise HTTPException(400, "not the name of a block or of a file")
        if not 0 <= self.block_index < MAX_INDEX:
            raise HTTPException(400, "not the index of a block")


class BlockPlaces(BaseModel):
    """The blocks in a client's question."""

    blocks: list[BlockPlace]


def make_router(hub: Hub, files: Files) -> APIRouter:
    """Return the routes."""
    router = APIRouter()
    add_block_upload(router, hub, files)
    add_verify(router, hub, files)
    add_lists(router, hub, files)
    return router


def add_block_upload(router: APIRouter, hub: Hub, files: Files) -> None:
    """Add the route for uploads of blocks."""
    pool = hub.kit.pools.uploads

    def take(asking: Viewer, body: bytes, file_hash: str, index: int) -> tuple[str, bool]:
        block_id = digest(body)
        place = BlockPlace(block_hash=block_id.hex(), file_hash=file_hash, block_index=index)
        # To whom may not read it, a block is new, whether the hub has it or not.
        is_known = hub.readers.may_read_block(asking, block_id)
        is_new = hub.blocks.put(asking, block_id, body, is_open=True) or not is_known
        if place.has_place:
            is_new |= files.note(asking, file_hash, {index: place.block_hash})
        return place.block_hash, is_new

    @router.post(f"/{api.BLOCK}", status_code=201)
    async def take_block(
        request: Request, response: Response, file_hash: str = "", idx: str = "0"
    ) -> dict[str, str]:
        """Store a block."""
        asking = await pool.run(demand, request, UPLOAD)
        body = await read_body(request, hub.settings.max_block_bytes)
        is_number = idx.isascii() and idx.isdigit() and len(idx) <= len(str(MAX_INDEX))
        is_file = not file_hash or DIGEST.fullmatch(file_hash)
        if not body or not is_file or not is_number or int(idx) >= MAX_INDEX:
            raise HTTPException(400, "no body, or a wrong file hash or index")
        name, is_new = await pool.run(take, asking, body, file_hash, int(idx))
        response.status_code = 201 if is_new else 200
        return {"hash": name, "message": "stored" if is_new else "known"}


def find_missing(hub: Hub, files: Files, asking: Viewer, asked: Sequence[BlockPlace]) -> list[str]:
    """Return which blocks the client must send; it relies on the others, so they become young."""
    block_ids = {bytes.fromhex(place.block_hash) for place in asked}
    missing = hub.blocks.missing(block_ids)
    missing |= block_ids - hub.readers.claimable(asking, block_ids)
    there = [place for place in asked if bytes.fromhex(place.block_hash) not in missing]
    unplaced = find_unplaced(files, there)
    if UPLOAD in asking.scopes:
        for name, places in unplaced.items():
            files.note(asking, name, places)
        unplaced = {}
    return [
        place.block_hash
        for place in asked
        if bytes.fromhex(place.block_hash) in missing
        or (place.has_place and place.block_index in unplaced.get(place.file_hash, ()))
    ]


def find_unplaced(files: Files, there: Sequence[BlockPlace]) -> dict[str, dict[int, str]]:
    """Return, by file, the places of which it is not known that the blocks are there."""
    asked: dict[str, dict[int, str]] = {}
    for place in there:
        if place.has_place:
            asked.setdefault(place.file_hash, {})[place.block_index] = place.block_hash
    found = {}
    for name, places in asked.items():
        known = files.places(name, places)
        unknown = {index: block for index, block in places.items() if known.get(index) != block}
        if unknown:
            found[name] = unknown
    return found


def add_verify(router: APIRouter, hub: Hub, files: Files) -> None:
    """Add the question which blocks are missing; it needs no token, as on upstream's server.

    Questions without one have a thread of their own: uploads do not wait for them.
    """
    guests, pool = Pool(1), hub.kit.pools.uploads

    def find(asking: Viewer, body: bytes) -> list[str]:
        asked = parse_model(body, BlockPlaces).blocks  # in the pool: it takes much memory
        for place in asked:
            place.check()
        return find_missing(hub, files, asking, asked)

    @router.post(f"/{api.VERIFY}")
    async def verify_blocks(request: Request) -> dict[str, list[str]]:
        """Return which blocks are missing."""
        asking = await pool.run(viewer, request)
        body = await read_json(request, MAX_JSON_BYTES, is_guest=not asking.is_known)
        chosen = pool if asking.is_known else guests
        return {"missing": await chosen.run(find, asking, body)}


def add_lists(router: APIRouter, hub: Hub, files: Files) -> None:
    """Add the lists of blocks: of all, of a user, of a file."""

    @router.get(f"/{api.BLOCKS}")
    def list_blocks(
        request: Request, page: str = "1", per_page: str = str(PER_PAGE)
    ) -> dict[str, Any]:
        """List all blocks that one may read, page by page."""
        condition = is_readable(BLOCKS.c.id, viewer(request))
        number, rows = parse_page(page, per_page)
        found, total = hub.blocks.page(number, rows, condition=condition)
        names = [block_id.hex() for block_id, _ in found]
        return {"blocks": names, "total": total, "page": number, "per_page": rows}

    @router.get(f"/{api.OWN_BLOCKS}")
    def list_own(
        request: Request, page: str = "1", per_page: str = str(PER_PAGE)
    ) -> dict[str, Any]:
        """List the user's own blocks and their sizes, page by page."""
        asking = demand(request, READ)
        number, rows = parse_page(page, per_page)
        found, total = hub.blocks.page(number, rows, account_id=asking.account_id)
        _, every = hub.blocks.page(1, 1)
        shown = [[block_id.hex(), size] for block_id, size in found]
        return {"blocks": shown, "total": total, "all_blocks": every}

    @router.get(f"/{api.BLOCKS}/{{name}}")
    def list_parts(request: Request, name: str) -> dict[str, Any]:
        """List the blocks of an uploaded file."""
        asking = viewer(request)
        if not DIGEST.fullmatch(name):
            raise HTTPException(404, "no such file")
        parts = files.parts(name)
        if parts is None and hub.blocks.find(bytes.fromhex(name)):
            parts = [(name, 0)]
        if parts is None or not all(
            hub.readers.may_read_block(asking, bytes.fromhex(block)) for block, _ in parts
        ):
            raise HTTPException(404, "no such file")
        return {"blocks": parts}
