"""Publishing to signed channels: `zos image publish` and its relatives are the client.

What replaces something names what it replaces (`If-Match` with its ETag, or `If-None-Match: *` for
nothing), so that no publisher undoes what another one has just done. The token is asked for before
anything is told about the store.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, BinaryIO, cast

from fastapi import Depends, Query, Request
from starlette.responses import JSONResponse, Response

from bootstrap_server.channels.publishing import Publishing, etag_of
from bootstrap_server.errors import NotThereError, PreconditionError
from bootstrap_server.web.shared import BINARY, NEVER_CHANGES, Shared, answer, make_router
from common.tuf.client import METADATA_MAX_BYTES, TIMESTAMP_MAX_BYTES
from serving.bodies import PIECE_BYTES, read_body, read_pieces, save_stream
from serving.pools import Pool
from serving.rates import address_of
from serving.respond import send_content
from serving.tokens import Demand, Token

FILE_MAX_BYTES = 2 << 30
STAGED_MAX_BYTES = 4 << 20
JSON = "application/json"
FRESH = {"Cache-Control": "no-cache"}
ANSWERS: dict[int | str, dict[str, object]] = {
    401: {"description": "no token, or one that is not valid"},
    403: {"description": "the token lacks the scope `publish`"},
    404: {"description": "this server has no signed channels"},
    413: {"description": "larger than this address takes"},
    422: {"description": "not what the address says, or not valid"},
}
CONDITIONAL: dict[int | str, dict[str, object]] = {
    **ANSWERS,
    409: {"description": "something that it needs is not there"},
    412: {"description": "somebody else has changed it"},
    428: {"description": "neither If-Match nor If-None-Match: *"},
}

router = make_router()
Publisher = Annotated[Token, Depends(Demand("publish"))]


async def get_publishing(server: Shared) -> Publishing:
    """Return where publishers write to. Raises `NotThereError`."""
    if server.publishing is None:
        raise NotThereError("this server has no signed channels")
    return server.publishing


Store = Annotated[Publishing, Depends(get_publishing)]


async def read_condition(request: Request) -> str:
    """Return the ETag of what the request replaces; "" for nothing. Raises `PreconditionError`."""
    wanted = request.headers.get("if-match", "")
    if not wanted and request.headers.get("if-none-match") != "*":
        raise PreconditionError(
            "the request does not say what it replaces",
            hint="If-Match: ETAG, or If-None-Match: * if nothing is there yet",
        )
    return wanted


Replaced = Annotated[str, Depends(read_condition)]


async def name_work(
    publisher: Publisher,
    work: Annotated[
        str,
        Query(pattern="^[a-z0-9]{0,32}$", description="tells works of one publisher apart"),
    ] = "",
) -> str:
    """Return the name under which metadata waits for its timestamp."""
    return f"{publisher.id}-{work}"


Work = Annotated[str, Depends(name_work)]


@answer(router, "/api/store/sha256/{sha256}")
async def stored_file(request: Request, sha256: str, store: Store, server: Shared) -> Response:
    """Return a file of the store by its SHA-256; HEAD says whether it is there."""
    content = await server.hashing.run(store.open_file, sha256)
    return send_content(request, content, BINARY, {"Cache-Control": NEVER_CHANGES})


@router.put("/api/store/sha256/{sha256}", status_code=201, responses=ANSWERS)
async def take_file(request: Request, sha256: str, publisher: Publisher, store: Store) -> Response:
    """Store a file under its SHA-256, if the body has it; else nothing changes."""
    store.check_digest(sha256)
    pieces = read_pieces(request, PIECE_BYTES, FILE_MAX_BYTES)

    def opener(_: Path) -> AbstractContextManager[BinaryIO]:
        return cast("AbstractContextManager[BinaryIO]", store.receive(sha256))

    await save_stream(pieces, opener, Path(sha256), uploads(request))
    request.app.state.kit.log.info("file received", sha256=sha256, token=publisher.name)
    return Response(status_code=201, headers={"ETag": f'"{sha256}"'})


@router.put("/api/store/metadata/timestamp.json", status_code=204, responses=CONDITIONAL)
async def publish(
    request: Request, publisher: Publisher, store: Store, work: Work, replaced: Replaced
) -> Response:
    """Publish: replace the timestamp, if it and all that it leads to is valid and there."""
    data = await read_body(request, TIMESTAMP_MAX_BYTES)
    who = {
        "token": publisher.id,
        "name": publisher.name,
        "address": address_of(request),
    }
    log = request.app.state.kit.log
    try:
        change = await uploads(request).run(store.commit, work, who, data, replaced)
    except Exception as error:
        log.warning("publishing refused", why=str(error), **who)
        raise
    log.info("published", version=change.after.version, channels=change.changed, **who)
    return Response(status_code=204, headers={"ETag": etag_of(data)})


@router.put("/api/store/metadata/{name}", status_code=202, responses=ANSWERS)
async def take_metadata(request: Request, name: str, work: Work, store: Store) -> Response:
    """Keep a numbered file of metadata until the timestamp that leads to it comes."""
    data = await read_body(request, METADATA_MAX_BYTES)
    await uploads(request).run(store.keep_metadata, work, name, data)
    return Response(status_code=202)


@answer(router, "/api/store/releases")
def releases(store: Store) -> JSONResponse:
    """Return the versions of the releases whose manifests the store has."""
    return JSONResponse({"releases": store.layout.versions()}, headers=FRESH)


@answer(router, "/api/store/releases/{version}")
def release(version: str, store: Store) -> Response:
    """Return the manifest of a release."""
    return Response(store.read_release(version), media_type=JSON, headers=FRESH)


@router.get("/api/store/staged.json", responses=ANSWERS)
def staged(_: Publisher, store: Store) -> Response:
    """Return the change that waits for further signatures."""
    data = store.read_staged()
    return Response(data, media_type=JSON, headers={"ETag": etag_of(data), **FRESH})


@router.put("/api/store/staged.json", status_code=204, responses=CONDITIONAL)
async def take_staged(request: Request, _: Publisher, store: Store, replaced: Replaced) -> Response:
    """Keep a change that waits for further signatures, in place of the one before."""
    data = await read_body(request, STAGED_MAX_BYTES)
    await uploads(request).run(store.write_staged, data, replaced)
    return Response(status_code=204, headers={"ETag": etag_of(data)})


@router.delete("/api/store/staged.json", status_code=204, responses=CONDITIONAL)
def drop_staged(_: Publisher, store: Store, replaced: Replaced) -> Response:
    """Forget the change that waits."""
    store.write_staged(None, replaced)
    return Response(status_code=204)


def uploads(request: Request) -> Pool:
    """Return the threads that write."""
    pool: Pool = request.app.state.kit.pools.uploads
    return pool
