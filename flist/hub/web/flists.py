"""The routes of flists.

GET    /<repo>/<name>.fl, .fl.sig     a flist or its signature: may change
GET    /<repo>/<name>.fl?version=D    one version of it
GET    /flists/<repo>/<name>.fl       the same, at the path of upstream's server
GET    /objects/<digest>              a version by its SHA-256: never changes
PUT    /<repo>/<name>.fl, .fl.sig     publish it; the signature is best sent first
DELETE /<repo>/<name>.fl              remove it with all its versions
"""

import hashlib

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from flist.format.signing.signature import MAX_TEXT_CHARS
from flist.hub.errors import AbsentError, InvalidError
from flist.hub.library.hub import Hub
from flist.hub.names import DIGEST, FILE, SIGNATURE, is_repo
from flist.hub.state.viewer import PUBLISH, Viewer
from flist.hub.web.shared import BINARY, CONTENT, TEXT, headers_of, receive_body, send_immutable
from flist.hub.web.viewers import demand, viewer
from serving.bodies import read_body
from serving.content import Content, Pieces
from serving.kit import Kit
from serving.openapi import reading
from serving.respond import send_content


def make_router(hub: Hub) -> APIRouter:
    """Return the routes; the last of them matches every path of two parts."""
    router = APIRouter()
    add_reading(router, hub)
    add_writing(router, hub, hub.kit)
    return router


def add_reading(router: APIRouter, hub: Hub) -> None:
    """Add the routes that read."""

    @reading(router, "/objects/{digest}", **CONTENT)
    def read_object(request: Request, digest: str) -> Response:
        """Return a version of a flist by its SHA-256."""
        asking = viewer(request)
        if not DIGEST.fullmatch(digest):
            raise HTTPException(404, "there is no such file")
        hub.flists.demand_object(asking, digest)
        return send_immutable(request, hub.contents.open(digest), is_open=not asking.is_known)

    @reading(router, "/flists/{repo}/{name}", **CONTENT)
    @reading(router, "/{repo}/{name}", **CONTENT)
    def read_flist(request: Request, repo: str, name: str, version: str = "") -> Response:
        """Return a flist or its signature; its ETag is the SHA-256 of its content."""
        asking = viewer(request)
        if not is_repo(repo) or not FILE.fullmatch(name):
            raise HTTPException(404, "there is no such flist")
        content = open_file(hub, asking, repo, name, version)
        kind = TEXT if name.endswith(SIGNATURE) else BINARY
        headers = headers_of({}, is_open=not asking.is_known)
        return send_content(request, content, kind, headers)


def open_file(hub: Hub, asking: Viewer, repo: str, name: str, version: str = "") -> Content:
    """Return a flist or its signature to send. Raises `AbsentError`."""
    if name.endswith(SIGNATURE):
        found = hub.flists.find_version(asking, repo, name.removesuffix(SIGNATURE), version)
        if found.signature is None:
            raise AbsentError("this flist has no signature")
        data = found.signature.encode()
        return Pieces((memoryview(data),), f'"{hashlib.sha256(data).hexdigest()}"')
    if version:
        return hub.contents.open(hub.flists.find_version(asking, repo, name, version).digest)
    return hub.contents.open(hub.flists.find(asking, repo, name).digest)


def add_writing(router: APIRouter, hub: Hub, kit: Kit) -> None:
    """Add the routes that publish and remove."""
    pool = kit.pools.uploads

    @router.put("/{repo}/{name}", status_code=201)
    async def take_flist(request: Request, repo: str, name: str) -> dict[str, str]:
        """Publish a flist, or a signature."""
        asking = await pool.run(demand, request, PUBLISH)
        if not is_repo(repo) or not FILE.fullmatch(name):
            raise HTTPException(400, "not the name of a flist")
        await pool.run(hub.repositories.demand_write, asking, repo)
        if name.endswith(SIGNATURE):
            body = await read_body(request, MAX_TEXT_CHARS)
            await pool.run(take_signature, hub, asking, repo, name, body)
            return {"message": "stored"}
        draft = await receive_body(request, hub.contents, hub.settings.max_flist_bytes, pool)
        try:
            await pool.run(hub.flists.publish, asking, repo, name, draft)
        finally:
            draft.discard()
        return {"message": "stored", "digest": draft.digest}

    @router.delete("/{repo}/{name}")
    def remove_flist(request: Request, repo: str, name: str) -> dict[str, str]:
        """Remove a flist with all its versions."""
        asking = demand(request, PUBLISH)
        hub.flists.delete(asking, repo, name)
        return {"message": "removed"}


def take_signature(hub: Hub, asking: Viewer, repo: str, name: str, body: bytes) -> None:
    """Keep a signature that was sent."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidError("this is not a signature") from error
    hub.flists.sign(asking, repo, name.removesuffix(SIGNATURE), text)
