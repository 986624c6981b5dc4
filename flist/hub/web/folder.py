"""The routes of a plain folder, which is only read. Any number of servers can serve one.

GET /<repo>/<name>.fl, .fl.sig   a flist or its signature: may change, so caches revalidate it
GET /flists/<repo>/<name>.fl     the same, at the path of upstream's server
GET /blocks/<hh>/<id>            a block: never changes (also /blocks/<id>, /api/v1/block/<id>)
GET /api/flist                   the names of all flists
GET /api/v1/fl/history/...       the versions of a flist
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from flist.hub.folder.library import Library
from flist.hub.folder.versions import Versions
from flist.hub.names import SIGNATURE, is_flist, is_repo
from flist.hub.web.shared import BINARY, CONTENT, NEVER_CHANGES, TEXT, Downloads
from flist.server import api
from serving.content import FileOpener
from serving.openapi import reading
from serving.pools import Pool
from serving.respond import send_content


def make_router(
    library: Library, opener: FileOpener, hashing: Pool, downloads: Downloads
) -> APIRouter:
    """Return the routes; the last of them matches every path of two parts."""
    router = APIRouter()
    add_blocks(router, library, opener, downloads)
    add_history(router, Versions(library.root), hashing)

    @router.get("/api/flist")
    def list_flists() -> list[str]:
        """List every flist as repo/name.fl."""
        return library.names()

    @reading(router, "/flists/{repo}/{name}", **CONTENT)
    @reading(router, "/{repo}/{name}", **CONTENT)
    async def read_flist(request: Request, repo: str, name: str) -> Response:
        """Return a flist or its signature; its ETag is the SHA-256 of its content."""
        kind = TEXT if name.endswith(SIGNATURE) else BINARY
        path = library.flist(repo, name)
        return await hashing.run(send_file, opener, request, path, kind, {})

    return router


def add_blocks(
    router: APIRouter, library: Library, opener: FileOpener, downloads: Downloads
) -> None:
    """Add the routes of blocks."""

    @reading(router, "/blocks/{prefix}/{name}", **CONTENT)
    def read_sharded(request: Request, prefix: str, name: str) -> Response:
        """Return a block."""
        return send_block(request, library.block(name) if name[:2] == prefix else None)

    @reading(router, "/blocks/{name}", **CONTENT)
    @reading(router, "/api/v1/block/{name}", **CONTENT)
    def read_block(request: Request, name: str) -> Response:
        """Return a block."""
        return send_block(request, library.block(name))

    def send_block(request: Request, path: Path | None) -> Response:
        if path and request.method == "GET":
            downloads.add(path.name)
        etag = f'"{path.name}"' if path else None
        return send_file(opener, request, path, BINARY, {"Cache-Control": NEVER_CHANGES}, etag)

    @reading(router, "/api/v1/block/{name}/downloads")
    def count_downloads(name: str) -> dict[str, object]:
        """Return how often a block was fetched since this server started."""
        path = library.block(name)
        with contextlib.suppress(FileNotFoundError):  # it may have been removed a moment ago
            if path is not None:
                count = downloads.counts.get(name, 0)
                size = path.stat().st_size
                return {"block_hash": name, "downloads_count": count, "block_size": size}
        raise HTTPException(404, "there is no such block")


def add_history(router: APIRouter, versions: Versions, hashing: Pool) -> None:
    """Add the route that lists versions."""

    @router.get(f"/{api.HISTORY}/{{repo}}/{{name}}")
    async def list_versions(repo: str, name: str) -> dict[str, list[dict[str, object]]]:
        """List the versions of a flist, the one that is published first."""
        if not is_repo(repo) or not is_flist(name):
            raise HTTPException(404, "there is no such flist")
        found = await hashing.run(versions.list, repo, name)
        if not found:
            raise HTTPException(404, "there is no such flist")
        rows = [
            {"digest": version.digest, "size": version.size, "published": int(version.published_s),
             "is_current": version.is_current, "is_signed": version.is_signed}
            for version in found
        ]  # fmt: skip
        return {"versions": rows}


def send_file(
    opener: FileOpener,
    request: Request,
    path: Path | None,
    kind: str,
    headers: Mapping[str, str],
    etag: str | None = None,
) -> Response:
    """Return a file; answers 404 for one that does not exist, or was removed a moment ago."""
    try:
        content = opener.open(path.resolve(strict=True), etag) if path else None
    except FileNotFoundError:
        content = None
    if content is None:
        raise HTTPException(404, "there is no such flist or block")
    return send_content(request, content, kind, headers)
