"""The hub's HTTP interface.

    GET /<repo>/<name>.fl, .fl.sig   a flist or its signature: may change, so caches revalidate it
    GET /blocks/<hh>/<64 hex>        a block: never changes (also /blocks/<64 hex>)
    GET /api/v1/block/<64 hex>       the same, at the path of upstream's server
    GET /api/v1/block/<64 hex>/downloads   its downloads since this copy of the hub started
    GET /flists/<repo>/<name>.fl     the same as /<repo>/<name>.fl, at the path of upstream's server
    GET /api/flist                   every flist's name (flist.hub.browse tells more)
    GET /api/v1/fl/history/...       the versions of a flist (flist.hub.history)
    GET /api/v1/file/<hash>          an uploaded file (flist.hub.files)
    GET /website/<hash>/<path>       a page of an uploaded flist (flist.hub.website)

All of them support HEAD, Range and If-None-Match, with strong ETags. The hub keeps no state of its
own, so any number of copies can serve one folder.
"""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI, HTTPException, Request
from starlette.responses import Response

from flist.hub import browse, history
from flist.hub.access import Access
from flist.hub.hot import BINARY, HEADERS, choose_type, make_finder
from flist.hub.library import Library
from flist.hub.settings import HubSettings
from flist.hub.users import Users
from flist.hub.versions import Versions
from flist.store.folder import FolderStore
from serving import kit
from serving.content import FileOpener
from serving.pools import Pool
from serving.respond import send_content

READ = ["GET", "HEAD"]
COUNTED_BLOCKS = 1_000_000


class Downloads:
    """Counts the downloads of each block; of the first million blocks that are fetched."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.lock = threading.Lock()

    def add(self, name: str) -> None:
        """Count one download of a block."""
        with self.lock:
            if name in self.counts or len(self.counts) < COUNTED_BLOCKS:
                self.counts[name] = self.counts.get(name, 0) + 1

    def describe(self, path: Path) -> dict[str, object]:
        """Return the description of a block, as upstream's server gives it."""
        count = self.counts.get(path.name, 0)
        return {"block_hash": path.name, "downloads_count": count,
                "block_size": path.stat().st_size}  # fmt: skip


def create_app(
    root: Path,
    tokens: Sequence[str] = (),
    users: Users | None = None,
    settings: HubSettings | None = None,
) -> FastAPI:
    """Return the application that serves the hub folder `root`.

    With `tokens`, or `users` who can sign in for one, it also accepts uploads.
    """
    settings = settings or HubSettings(root=root)
    library = Library(root)
    versions = Versions(root, settings.keep_versions)
    downloads = Downloads()
    opener = FileOpener()
    # The interactive documentation would load scripts from other sites, and a redirect would be
    # built from the Host header, which a client chooses.
    app = FastAPI(
        title="Zero-OS hub",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
    )
    shared = kit.install(app, settings)
    app.state.downloads = downloads
    shared.find = make_finder(library, opener, downloads.add)
    shared.readiness.checks["folder"] = lambda: check_folder(root)
    app.include_router(blocks_router(library, opener, downloads))
    if tokens or users:
        from flist.hub import publish, uploads

        access, written = Access(root, tokens, users or Users()), FolderStore(library.blocks)
        app.include_router(uploads.make_router(root, written, access, shared))
        publisher = publish.Publisher(root, written, access, versions)
        app.include_router(publish.make_router(publisher, shared))
    if tokens or users or (root / "files").is_dir():
        add_files(app, root, library, downloads)
    app.include_router(history.make_router(versions, shared))
    app.include_router(browse.make_router(library, shared.pools.hashing))
    app.include_router(flists_router(library, opener, shared.pools.hashing))
    return app


def add_files(app: FastAPI, root: Path, library: Library, downloads: Downloads) -> None:
    """Add the routes of uploaded files and of websites."""
    from flist.hub import files, website

    kept = files.Files(root)
    store, pool = FolderStore(library.blocks), app.state.kit.pools.hashing
    websites = website.Websites(store, kept, downloads.add, pool)
    app.include_router(website.make_router(websites, pool))
    app.include_router(files.make_router(library, kept, downloads.add))


def check_folder(root: Path) -> str | None:
    """Return why the hub folder cannot be served, or None."""
    return None if root.is_dir() else "the hub folder is not there"


def blocks_router(library: Library, opener: FileOpener, downloads: Downloads) -> APIRouter:
    """Return the routes of blocks."""
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

    @router.api_route("/api/v1/block/{name}/downloads", methods=READ)
    def count_downloads(name: str) -> dict[str, object]:
        """Return how often a block was fetched."""
        path = library.block(name)
        with contextlib.suppress(FileNotFoundError):  # it may have been removed a moment ago
            if path is not None:
                return downloads.describe(path)
        raise HTTPException(404, "there is no such block")

    return router


def flists_router(library: Library, opener: FileOpener, hashing: Pool) -> APIRouter:
    """Return the routes of flists; the last of them matches every path of two parts."""
    router = APIRouter()

    @router.get("/api/flist")
    def list_flists() -> list[str]:
        """List every flist as repo/name.fl."""
        return library.names()

    @router.get("/api/v1")
    def greet() -> dict[str, str]:
        """Answer a client that checks whether there is a server, in upstream's words."""
        return {"msg": "flist server is working"}

    @router.api_route("/flists/{repo}/{name}", methods=READ, response_class=Response)
    @router.api_route("/{repo}/{name}", methods=READ, response_class=Response)
    async def read_flist(request: Request, repo: str, name: str) -> Response:
        """Return a flist or its signature; its ETag is the SHA-256 of its content."""
        path = library.flist(repo, name)
        return await hashing.run(send_file, opener, request, path, choose_type(name), {})

    return router


def send_block(
    opener: FileOpener, request: Request, path: Path | None, downloads: Downloads
) -> Response:
    """Return a block; its id is its ETag."""
    if path and request.method == "GET":
        downloads.add(path.name)
    etag = f'"{path.name}"' if path else None
    return send_file(opener, request, path, BINARY, HEADERS, etag)


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
