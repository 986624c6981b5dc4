"""What a hub takes, from those who have a token; the URLs of upstream's rfs server.

    POST /api/v1/block?file_hash=H&idx=N   a block; its name is the BLAKE2b-256 of the body
    POST /api/v1/block/verify              which of some blocks are missing
    GET  /api/v1/blocks                    all blocks, page by page
    GET  /api/v1/blocks/<file hash>        the blocks of an uploaded file, in order
    GET  /api/v1/user/blocks               all blocks with their sizes: a hub's writers are one team
    POST /api/v1/signin                    a token for a user's name and password
    PUT  /<repo>/<name>.fl, .fl.sig        a flist or its signature, whole or not at all

and POST /api/v1/file (flist.hub.files).
"""

import hmac
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, Field, ValidationError

from common.files import write_atomic
from flist.blocks.codec import digest
from flist.hub.files import Files, add_file_taking, keep
from flist.hub.library import BLOCK, FILE, REPO
from flist.hub.users import MAX_PASSWORD, Users
from flist.store.folder import FolderStore

MAX_BLOCK_BYTES = 4 << 20
MAX_FLIST_BYTES = 1 << 30
MAX_JSON_BYTES = 4 << 20
PER_PAGE = 50
MAX_PER_PAGE = 100
MAX_INDEX = 1 << 32
Model = TypeVar("Model", bound=BaseModel)


class BlockName(BaseModel):
    """One block that a client asks about."""

    block_hash: str


class BlockNames(BaseModel):
    """Blocks that a client asks about."""

    blocks: list[BlockName]


class SignIn(BaseModel):
    """What a user signs in with."""

    username: str = Field(max_length=100)
    password: str = Field(max_length=MAX_PASSWORD)


def is_trusted(request: Request, tokens: Sequence[str], users: Users) -> bool:
    """Whether the request carries one of the tokens, or one that a user signed in for."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    matches = [hmac.compare_digest(token.encode(), known.encode()) for known in tokens]
    is_user = users.user_of(token, time.time()) is not None
    return scheme.lower() == "bearer" and (any(matches) or is_user)


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body; answers 413 for one that is too large, before reading all of it."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise HTTPException(413, f"more than {limit} bytes")
    return bytes(body)


async def read_model(request: Request, model: type[Model]) -> Model:
    """Return the body, which is JSON of that form; answers 413 or 422."""
    body = await read_body(request, MAX_JSON_BYTES)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(422, error.errors(include_url=False, include_input=False)) from error


def make_router(root: Path, tokens: Sequence[str], users: Users) -> APIRouter:
    """Return the routes that take things into the hub folder `root`."""
    router = APIRouter()
    store = FolderStore(root / "blocks")
    files = Files(root)

    def demand_token(request: Request) -> None:
        if not is_trusted(request, tokens, users):
            raise HTTPException(401, "a token is needed", {"WWW-Authenticate": "Bearer"})

    add_taking(router, files, store, demand_token)
    add_file_taking(router, files, store, demand_token)
    add_flists(router, root / "flists", store, demand_token)
    add_users(router, store, users, demand_token)
    add_asking(router, files, store)
    return router


def add_taking(
    router: APIRouter, files: Files, store: FolderStore, demand_token: Callable[[Request], None]
) -> None:
    """Add the route that takes blocks."""

    @router.post("/api/v1/block", status_code=201)
    async def take_block(
        request: Request, response: Response, file_hash: str = "", idx: int = 0
    ) -> dict[str, str]:
        """Take a block."""
        demand_token(request)
        body = await read_body(request, MAX_BLOCK_BYTES)
        if not body or (file_hash and not BLOCK.fullmatch(file_hash)) or not 0 <= idx < MAX_INDEX:
            raise HTTPException(400, "no body, or a wrong file hash or index")
        block_id = digest(body)
        is_known = store.has(block_id)
        keep(store, block_id, body)
        if file_hash and file_hash != block_id.hex():
            files.note(file_hash, idx, block_id.hex())
        response.status_code = 200 if is_known else 201
        return {"hash": block_id.hex(), "message": "known" if is_known else "stored"}


def add_flists(
    router: APIRouter, flists: Path, store: FolderStore, demand_token: Callable[[Request], None]
) -> None:
    """Add the route that takes flists."""

    @router.put("/{repo}/{name}", status_code=201)
    async def take_flist(request: Request, repo: str, name: str) -> dict[str, str]:
        """Take a flist or its signature."""
        demand_token(request)
        if not REPO.fullmatch(repo) or not FILE.fullmatch(name):
            raise HTTPException(400, "not the name of a flist")
        body = await read_body(request, MAX_FLIST_BYTES)
        store.flush()  # what a flist names is on disk before the flist is
        folder = flists / repo
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / name, body)
        return {"message": "stored"}


def add_users(
    router: APIRouter, store: FolderStore, users: Users, demand_token: Callable[[Request], None]
) -> None:
    """Add signing in, and what those who did may ask."""

    @router.post("/api/v1/signin", status_code=201)
    async def sign_in(request: Request) -> dict[str, str]:
        """Give out a token."""
        asked = await read_model(request, SignIn)
        if not await to_thread.run_sync(users.is_password, asked.username, asked.password):
            raise HTTPException(401, "no such user, or another password")
        return {"access_token": users.make_token(asked.username, time.time())}

    @router.get("/api/v1/user/blocks")
    def list_own(request: Request, page: int = 1, per_page: int = PER_PAGE) -> dict[str, Any]:
        """List all blocks and their sizes, page by page."""
        demand_token(request)
        answer = list_page(store, page, per_page)
        rows = [[name, size_of(store, name)] for name, _ in answer["blocks"]]
        return {**answer, "blocks": rows, "all_blocks": answer["total"]}


def find_missing(store: FolderStore, names: Sequence[str]) -> list[str]:
    """Return which blocks are not there; who asks relies on the others."""
    missing = store.missing([bytes.fromhex(name) for name in names])
    return [name for name in names if bytes.fromhex(name) in missing]


def size_of(store: FolderStore, name: str) -> int:
    """Return how many bytes a block has; 0 for one that was removed a moment ago."""
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


def add_asking(router: APIRouter, files: Files, store: FolderStore) -> None:
    """Add the routes that anybody may use."""

    @router.post("/api/v1/block/verify")
    async def verify_blocks(request: Request) -> dict[str, list[str]]:
        """Say which blocks are missing."""
        asked = [name.block_hash for name in (await read_model(request, BlockNames)).blocks]
        if not all(BLOCK.fullmatch(name) for name in asked):
            raise HTTPException(400, "not the name of a block")
        return {"missing": await to_thread.run_sync(find_missing, store, asked)}

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
