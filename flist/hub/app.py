"""The hub's HTTP interface.

    GET /<repo>/<name>.fl, .fl.sig   a flist or its signature: may change, so it is asked for anew
    GET /blocks/<hh>/<64 hex>        a block: never changes (also /blocks/<64 hex>)
    GET /api/v1/block/<64 hex>       the same, where upstream's server has it
    GET /api/v1/block/<64 hex>/downloads   how often, since this copy of the hub started
    GET /api/flist, /api/v1/fl       every flist's name, or what upstream's server says of each
    GET /api/v1/file/<hash>          an uploaded file (flist.hub.files)
    GET /website/<hash>/<path>       a page of an uploaded flist (flist.hub.website)

All answer HEAD, Range and If-None-Match with strong ETags. The hub keeps nothing of its own, so
any number of copies can serve one folder.
"""

import errno
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI, HTTPException, Request
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from flist.hub.library import Library
from flist.hub.users import Users
from flist.store.folder import FolderStore
from serving.content import FileOpener
from serving.respond import send_content

NEVER_CHANGES = "public, max-age=31536000, immutable"
BINARY = "application/octet-stream"
READ = ["GET", "HEAD"]
COUNTED_BLOCKS = 1_000_000
FULL = (errno.ENOSPC, errno.EDQUOT)


class Downloads:
    """How often each block was fetched; of the first million that were."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.lock = threading.Lock()

    def add(self, name: str) -> None:
        """Count one."""
        with self.lock:
            if name in self.counts or len(self.counts) < COUNTED_BLOCKS:
                self.counts[name] = self.counts.get(name, 0) + 1

    def describe(self, path: Path) -> dict[str, object]:
        """Return what upstream's server says about a block."""
        count = self.counts.get(path.name, 0)
        return {"block_hash": path.name, "downloads_count": count,
                "block_size": path.stat().st_size}  # fmt: skip


def create_app(root: Path, tokens: Sequence[str] = (), users: Users | None = None) -> FastAPI:
    """Return the application that serves the hub folder `root`.

    With tokens, or users who can sign in for one, it takes, too.
    """
    library = Library(root)
    downloads = Downloads()
    opener = FileOpener()
    # The interactive documentation would load scripts from elsewhere: the JSON must do. A redirect
    # would be made from the Host header, which anyone can send.
    app = FastAPI(
        title="Zero-OS hub",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
    )
    app.add_exception_handler(OSError, answer_os_error)
    app.add_exception_handler(ClientDisconnect, answer_gone)
    app.include_router(blocks_router(library, opener, downloads))
    if tokens or users:
        from flist.hub import uploads

        app.include_router(uploads.make_router(root, tokens, users or Users()))
    if tokens or users or (root / "files").is_dir():
        from flist.hub import files, website

        kept = files.Files(root)
        websites = website.Websites(FolderStore(library.blocks), kept, downloads.add)
        app.include_router(website.make_router(websites))
        app.include_router(files.make_router(library, kept, downloads.add))
    app.include_router(flists_router(library, opener))
    return app


def blocks_router(library: Library, opener: FileOpener, downloads: Downloads) -> APIRouter:
    """Return the routes that give out blocks."""
    router = APIRouter()

    @router.api_route("/blocks/{prefix}/{name}", methods=READ, response_class=Response)
    def read_sharded(request: Request, prefix: str, name: str) -> Response:
        """Return a block."""
        path = library.block(name) if name[:2] == prefix else None
        return send_block(opener, request, path, downloads)

    @router.api_route("/blocks/{name}", methods=READ, response_class=Response)
    @router.api_route("/api/v1/block/{name}", methods=READ, response_class=Response)
    def read_block(request: Request, name: str) -> Response:
        """Return a block."""
        return send_block(opener, request, library.block(name), downloads)

    @router.get("/api/v1/block/{name}/downloads")
    def count_downloads(name: str) -> dict[str, object]:
        """Say how often a block was fetched."""
        path = library.block(name)
        if path is None:
            raise HTTPException(404, "there is no such block")
        return downloads.describe(path)

    return router


def flists_router(library: Library, opener: FileOpener) -> APIRouter:
    """Return the routes that give out flists; the last of them takes any two words."""
    router = APIRouter()

    @router.get("/api/flist")
    def list_flists() -> list[str]:
        """List every flist as repo/name.fl."""
        return library.names()

    @router.get("/api/v1")
    def greet() -> dict[str, str]:
        """Answer whoever asks whether a server is here."""
        return {"msg": "Zero-OS hub"}

    @router.get("/api/v1/fl")
    def describe_flists() -> dict[str, list[dict[str, object]]]:
        """List every flist by repo, as upstream's server does."""
        return library.describe()

    @router.api_route("/{repo}/{name}", methods=READ, response_class=Response)
    def read_flist(request: Request, repo: str, name: str) -> Response:
        """Return a flist or its signature."""
        kind = "text/plain; charset=utf-8" if name.endswith(".sig") else BINARY
        return send_file(opener, request, library.flist(repo, name), kind, {})

    return router


def answer_os_error(_request: Request, error: Exception) -> Response:
    """Say that the disk is full, or what else the system says, without a path of ours."""
    number = error.errno if isinstance(error, OSError) else None
    logging.getLogger("zos.hub").error("%s", error)
    reason = os.strerror(number) if number else "an error of the system"
    return JSONResponse({"detail": reason}, 507 if number in FULL else 500)


def answer_gone(_request: Request, _error: Exception) -> Response:
    """Answer whoever went away while sending: nobody reads it."""
    return Response(status_code=400)


def send_block(
    opener: FileOpener, request: Request, path: Path | None, downloads: Downloads
) -> Response:
    """Return a block; its id is its ETag."""
    if path and request.method == "GET":
        downloads.add(path.name)
    etag = f'"{path.name}"' if path else None
    return send_file(opener, request, path, BINARY, {"Cache-Control": NEVER_CHANGES}, etag)


def send_file(
    opener: FileOpener,
    request: Request,
    path: Path | None,
    kind: str,
    headers: Mapping[str, str],
    etag: str | None = None,
) -> Response:
    """Return a file, or 404 for what is not there or was removed a moment ago."""
    try:
        content = opener.open(path.resolve(strict=True), etag) if path else None
    except FileNotFoundError:
        content = None
    if content is None:
        raise HTTPException(404, "there is no such flist or block")
    return send_content(request, content, kind, headers)
