"""The log and its proofs.

GET  /api/v1/log/head                            the head, signed
GET  /api/v1/log/entries?start=N&count=N         entries
GET  /api/v1/log/inclusion?position=N[&size=N]   that an entry is in the log
GET  /api/v1/log/consistency?first=N[&size=N]    that an earlier log begins this one
GET  /api/v1/log/cosigned                        the newest head that witnesses have cosigned
POST /api/v1/log/cosignatures                    a head with a witness' cosignature
"""

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from registry.errors import AbsentError, RegistryError
from registry.log.entries import PAGE, Entry
from registry.log.notes import MAX_BYTES, Head
from registry.views.registry import Registry
from registry.web.limits import Limits
from registry.web.models import Consistency, Entries, HeadShown, Inclusion
from registry.web.shared import NO_CACHE, check_patience, note_refusal
from serving.bodies import read_body
from serving.openapi import describe_problems, reading

Position = Annotated[int, Query(ge=0, lt=2**53)]
Size = Annotated[int | None, Query(ge=1, lt=2**53, description="of the log; else that of now")]
NOTE: dict[str, Any] = {
    "requestBody": {"content": {"text/plain": {"schema": {"type": "string"}}}, "required": True}
}
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}


def make_router(registry: Registry, limits: Limits) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["log"], prefix="/api/v1/log")
    log = registry.log

    @reading(router, "/head", response_model=HeadShown)
    def get_head() -> JSONResponse:
        """Return size and root of the log, signed."""
        head = log.head()
        shown = {**show_head(head), "origin": head.origin, "note": log.sign(head)}
        return JSONResponse({**shown, "key": str(log.verifier)}, headers=NO_CACHE)

    @reading(router, "/entries", response_model=Entries)
    def list_entries(
        start: Position = 0, count: Annotated[int, Query(ge=1, le=PAGE)] = PAGE
    ) -> JSONResponse:
        """Return entries from a position on, of 1 MiB together or one: go on after the last."""
        entries = [show_entry(entry) for entry in log.entries(start, count)]
        return JSONResponse({"size": log.head().size, "entries": entries}, headers=NO_CACHE)

    @reading(router, "/inclusion", response_model=Inclusion)
    def prove_inclusion(position: Position, size: Size = None) -> JSONResponse:
        """Prove that an entry is in the log."""
        head, leaf, path = log.prove_inclusion(position, size)
        body = {"position": position, **show_head(head), "leaf_hash": encode(leaf)}
        return JSONResponse({**body, "path": [encode(step) for step in path]}, headers=NO_CACHE)

    @reading(router, "/consistency", response_model=Consistency)
    def prove_consistency(first: Position, size: Size = None) -> JSONResponse:
        """Prove that the log of `first` entries begins the log."""
        head, path = log.prove_consistency(first, size)
        body = {"first": first, **show_head(head), "path": [encode(step) for step in path]}
        return JSONResponse(body, headers=NO_CACHE)

    @reading(router, "/cosigned", response_class=PlainTextResponse, responses=TEXT)
    def get_cosigned() -> PlainTextResponse:
        """Return the newest head that witnesses have cosigned, as a signed note."""
        note = log.cosigned()
        if note is None:
            raise AbsentError("no witness has cosigned the log")
        return PlainTextResponse(note, headers=NO_CACHE)

    @router.post(
        "/cosignatures",
        status_code=204,
        response_class=Response,
        openapi_extra=NOTE,
        responses=describe_problems(403),
    )
    async def take_cosignature(request: Request) -> Response:
        """Keep a head that a witness has cosigned: a signed note with both signatures."""
        check_patience(request, limits.refusals)
        body = await read_body(request, MAX_BYTES, is_guest=True)
        try:
            await run_in_threadpool(log.keep_cosignature, read_text(body))
        except RegistryError as error:
            note_refusal(request, limits.refusals, error)
            raise
        return Response(status_code=204)

    return router


def read_text(body: bytes) -> str:
    """Return a body as text. Raises `RegistryError`."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RegistryError("this is no signed note") from error


def show_head(head: Head) -> dict[str, Any]:
    """Return size and root."""
    return {"size": head.size, "root": encode(head.root)}


def show_entry(entry: Entry) -> dict[str, Any]:
    """Return an entry."""
    leaf = encode(entry.leaf) if entry.leaf is not None else None
    return {"position": entry.position, "at": entry.at_s, "kind": entry.kind, "leaf": leaf}


def encode(data: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(data).decode()
