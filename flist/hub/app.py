"""The hub's HTTP interface.

    GET /<repo>/<name>.fl, .fl.sig   a flist or its signature: may change, so it is asked for anew
    GET /blocks/<hh>/<64 hex>        a block: never changes (also /blocks/<64 hex>)
    GET /api/v1/block/<64 hex>       the same, where upstream's server has it
    GET /api/flist                   every flist's name

All answer HEAD, Range and If-None-Match with strong ETags. The hub keeps nothing of its own, so
any number of copies can serve one folder.
"""

from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from starlette.responses import FileResponse, Response

from flist.hub.library import Library

NEVER_CHANGES = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
BINARY = "application/octet-stream"
READ = ["GET", "HEAD"]


def create_app(root: Path, tokens: Sequence[str] = ()) -> FastAPI:
    """Return the application that serves the hub folder `root`; with tokens it takes, too."""
    library = Library(root)
    app = FastAPI(title="Zero-OS hub", docs_url="/api/docs", openapi_url="/api/openapi.json")

    @app.get("/api/flist")
    def list_flists() -> list[str]:
        """List every flist as repo/name.fl."""
        return library.names()

    @app.api_route("/blocks/{prefix}/{name}", methods=READ, response_class=Response)
    def read_sharded(request: Request, prefix: str, name: str) -> Response:
        """Return a block."""
        return send_block(library, request, name if name[:2] == prefix else "")

    @app.api_route("/blocks/{name}", methods=READ, response_class=Response)
    @app.api_route("/api/v1/block/{name}", methods=READ, response_class=Response)
    def read_block(request: Request, name: str) -> Response:
        """Return a block."""
        return send_block(library, request, name)

    if tokens:
        from flist.hub.uploads import make_router

        app.include_router(make_router(root, tokens))

    @app.api_route("/{repo}/{name}", methods=READ, response_class=Response)
    def read_flist(request: Request, repo: str, name: str) -> Response:
        """Return a flist or its signature."""
        path = library.flist(repo, name)
        if path is None:
            raise HTTPException(404, "no such flist")
        kind = "text/plain; charset=utf-8" if name.endswith(".sig") else BINARY
        return send_file(request, path, library.etag(path), ASK_AGAIN, kind)

    return app


def send_block(library: Library, request: Request, name: str) -> Response:
    """Return a block; its id is its ETag."""
    path = library.block(name)
    if path is None:
        raise HTTPException(404, "no such block")
    return send_file(request, path, f'"{name}"', NEVER_CHANGES, BINARY)


def send_file(request: Request, path: Path, etag: str, caching: str, kind: str) -> Response:
    """Return a file, or 304 if the client has this version."""
    headers = {"ETag": etag, "Cache-Control": caching, "Accept-Ranges": "bytes"}
    known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in known or "*" in known or f"W/{etag}" in known:
        return Response(status_code=304, headers=headers)
    return FileResponse(path, headers=headers, media_type=kind)
