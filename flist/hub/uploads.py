"""Uploads to a hub, which need a token; the URLs are those of upstream's rfs server.

    POST /api/v1/block?file_hash=H&idx=N   a block; its name is the BLAKE2b-256 of the body
    POST /api/v1/block/verify              which of the given blocks are missing
    GET  /api/v1/blocks                    all blocks, page by page
    GET  /api/v1/blocks/<file hash>        the blocks of an uploaded file, in order
    GET  /api/v1/user/blocks               all blocks with their sizes (a hub's users share them)
    POST /api/v1/signin                    a token for a user's name and password
    PUT  /<repo>/<name>.fl, .fl.sig        a flist or its signature, whole or not at all

and POST /api/v1/file (flist.hub.files).
"""

import hmac
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, Field, ValidationError

from flist.blocks.codec import digest
from flist.hub.files import Files, add_file_upload, keep
from flist.hub.library import BLOCK, FILE, REPO
from flist.hub.settings import HubSettings
from flist.hub.users import MAX_PASSWORD, Users
from flist.store.folder import FolderStore
from serving.bodies import read_body, save_body
from serving.kit import Kit
from serving.pools import Pool
from serving.problems import describe_invalid
from serving.rates import RateLimit

MAX_BLOCK_BYTES = 4 << 20
MAX_FLIST_BYTES = 1 << 30
MAX_JSON_BYTES = 4 << 20
PER_PAGE = 50
MAX_PER_PAGE = 100
MAX_INDEX = 1 << 32
Model = TypeVar("Model", bound=BaseModel)


class BlockName(BaseModel):
    """One block in a client's question."""

    block_hash: str


class BlockNames(BaseModel):
    """The blocks in a client's question."""

    blocks: list[BlockName]


class SignIn(BaseModel):
    """A user's name and password."""

    username: str = Field(max_length=100)
    password: str = Field(max_length=MAX_PASSWORD)


def is_trusted(request: Request, tokens: Sequence[str], users: Users) -> bool:
    """Return whether the request carries one of the tokens, or one that a user signed in for."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    matches = [hmac.compare_digest(token.encode(), known.encode()) for known in tokens]
    is_user = users.user_of(token, time.time()) is not None
    return scheme.lower() == "bearer" and (any(matches) or is_user)


def parse_model(body: bytes, model: type[Model]) -> Model:
    """Return the model that `body` holds as JSON; answers 422."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problem = describe_invalid(error.errors(include_url=False, include_input=False))
        raise HTTPException(422, problem.detail) from error


def make_router(root: Path, tokens: Sequence[str], users: Users, kit: Kit) -> APIRouter:
    """Return the routes that write into the hub folder `root`."""
    router = APIRouter()
    store = FolderStore(root / "blocks")
    files = Files(root)

    def demand_token(request: Request) -> None:
        if not is_trusted(request, tokens, users):
            raise HTTPException(401, "a token is needed", {"WWW-Authenticate": "Bearer"})

    pool = kit.pools.uploads
    add_block_upload(router, files, store, demand_token, pool)
    add_file_upload(router, files, store, demand_token, pool)
    add_flist_upload(router, root / "flists", store, demand_token, pool)
    add_sign_in(router, users, kit)
    add_own_blocks(router, store, demand_token)
    add_queries(router, files, store, pool)
    return router


def add_block_upload(
    router: APIRouter,
    files: Files,
    store: FolderStore,
    demand_token: Callable[[Request], None],
    pool: Pool,
) -> None:
    """Add the route for uploads of blocks."""

    def take(body: bytes, file_hash: str, index: int) -> tuple[str, bool]:
        block_id = digest(body)
        is_known = store.has(block_id)
        keep(store, block_id, body)
        if file_hash and file_hash != block_id.hex():
            files.note(file_hash, index, block_id.hex())
        return block_id.hex(), is_known

    @router.post("/api/v1/block", status_code=201)
    async def take_block(
        request: Request, response: Response, file_hash: str = "", idx: int = 0
    ) -> dict[str, str]:
        """Store a block."""
        demand_token(request)
        body = await read_body(request, MAX_BLOCK_BYTES)
        if not body or (file_hash and not BLOCK.fullmatch(file_hash)) or not 0 <= idx < MAX_INDEX:
            raise HTTPException(400, "no body, or a wrong file hash or index")
        name, is_known = await pool.run(take, body, file_hash, idx)
        response.status_code = 200 if is_known else 201
        return {"hash": name, "message": "known" if is_known else "stored"}


def add_flist_upload(
    router: APIRouter,
    flists: Path,
    store: FolderStore,
    demand_token: Callable[[Request], None],
    pool: Pool,
) -> None:
    """Add the route for uploads of flists."""

    @router.put("/{repo}/{name}", status_code=201)
    async def take_flist(request: Request, repo: str, name: str) -> dict[str, str]:
        """Store a flist or its signature."""
        demand_token(request)
        if not REPO.fullmatch(repo) or not FILE.fullmatch(name):
            raise HTTPException(400, "not the name of a flist")
        await pool.run(store.flush)  # its blocks are on disk before the flist is
        folder = flists / repo
        folder.mkdir(parents=True, exist_ok=True)
        await save_body(request, folder / name, MAX_FLIST_BYTES, pool)
        return {"message": "stored"}


def add_sign_in(router: APIRouter, users: Users, kit: Kit) -> None:
    """Add the route that gives out tokens. Each client address has a rate limit."""
    settings = kit.settings
    assert isinstance(settings, HubSettings)
    limit = RateLimit(settings.sign_in_per_minute, settings.sign_in_burst)

    @router.post("/api/v1/signin", status_code=201, dependencies=[Depends(limit)])
    async def sign_in(request: Request) -> dict[str, str]:
        """Return a token for a user's name and password."""
        asked = parse_model(await read_body(request, MAX_JSON_BYTES), SignIn)
        if not await kit.pools.passwords.run(users.is_password, asked.username, asked.password):
            raise HTTPException(401, "no such user, or another password")
        return {"access_token": users.make_token(asked.username, time.time())}


def add_own_blocks(
    router: APIRouter, store: FolderStore, demand_token: Callable[[Request], None]
) -> None:
    """Add the list of blocks for users who have signed in."""

    @router.get("/api/v1/user/blocks")
    def list_own(request: Request, page: int = 1, per_page: int = PER_PAGE) -> dict[str, Any]:
        """List all blocks and their sizes, page by page."""
        demand_token(request)
        answer = list_page(store, page, per_page)
        rows = [[name, size_of(store, name)] for name, _ in answer["blocks"]]
        return {**answer, "blocks": rows, "all_blocks": answer["total"]}


def find_missing(store: FolderStore, names: Sequence[str]) -> list[str]:
    """Return which blocks are not there; the client relies on the others, so they become young."""
    missing = store.missing([bytes.fromhex(name) for name in names])
    return [name for name in names if bytes.fromhex(name) in missing]


def size_of(store: FolderStore, name: str) -> int:
    """Return the size of a block in bytes; 0 if it was removed a moment ago."""
    try:
        return Path(store.path(name)).stat().st_size
    except FileNotFoundError:
        return 0


def list_page(store: FolderStore, page: int, per_page: int) -> dict[str, Any]:
    """Return one page of all blocks."""
    per_page = min(max(per_page, 1), MAX_PER_PAGE)
    names = sorted(p.name for p in store.root.glob("*/*") if BLOCK.fullmatch(p.name))
    start = (max(page, 1) - 1) * per_page
    rows = [[name, 0] for name in names[start : start + per_page]]
    return {"blocks": rows, "total": len(names), "page": page, "per_page": per_page}


def add_queries(router: APIRouter, files: Files, store: FolderStore, pool: Pool) -> None:
    """Add the routes that need no token."""

    def find(body: bytes) -> list[str]:  # in the pool: a parsed body takes much memory
        asked = [name.block_hash for name in parse_model(body, BlockNames).blocks]
        if not all(BLOCK.fullmatch(name) for name in asked):
            raise HTTPException(400, "not the name of a block")
        return find_missing(store, asked)

    @router.post("/api/v1/block/verify")
    async def verify_blocks(request: Request) -> dict[str, list[str]]:
        """Return which blocks are missing."""
        return {"missing": await pool.run(find, await read_body(request, MAX_JSON_BYTES))}

    @router.get("/api/v1/blocks")
    def list_blocks(page: int = 1, per_page: int = PER_PAGE) -> dict[str, Any]:
        """List all blocks, page by page."""
        return list_page(store, page, per_page)

    @router.get("/api/v1/blocks/{name}")
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
