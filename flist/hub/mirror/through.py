"""A hub that keeps what its clients fetch from other hubs: the cache of a farm's LAN.

    GET /<repo>/<name>.fl[.sig], /flists/<repo>/<name>.fl[.sig]    current, or while all upstreams
                                   are away, as it was
    GET /blocks/<hh>/<id>, /blocks/<id>, /api/v1/block/<id>, /objects/<SHA-256>    kept for good
    GET /api/flist                 the upstream's list

Blocks are kept only with the right hash, and a flist only whole. The first upstream is used while
it answers well, then the next.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from serving import kit
from serving.mirror.addresses import DIGEST, Addresses, Rule, hub_rules
from serving.mirror.mirror import Mirror
from serving.mirror.shelf import Shelf
from serving.mirror.upstream import Upstream
from serving.respond import send_content
from serving.settings import ServerSettings

NEVER_CHANGES = "public, max-age=31536000, immutable"
RULES = (
    Rule(rf"/api/v1/block/(?P<block>{DIGEST})", "hub", True),
    Rule(rf"/objects/(?P<sha256>{DIGEST})", "hub", True),
    Rule("/api/flist", "hub", False),
    *hub_rules(),
)


def create_mirror(
    root: Path,
    urls: Sequence[str],
    settings: ServerSettings,
    *,
    limit_bytes: int,
    stale_s: float,
    warn: Callable[[str], None],
) -> FastAPI:
    """Return the application that serves what is at `urls`, and keeps it in the folder `root`.

    The folder is taken when the application starts, and let go when it ends.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with Shelf(root, limit_bytes) as shelf:
            pool = app.state.kit.pools.hashing
            upstreams = {"hub": Upstream(*urls)}
            mirror = Mirror(Addresses(RULES), shelf, upstreams, pool, stale_s, warn)
            app.state.mirror = mirror
            with contextlib.closing(mirror):
                yield

    app = FastAPI(
        title="Zero-OS hub mirror",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    kit.install(app, settings)
    app.include_router(make_router())
    return app


def make_router() -> APIRouter:
    """Return the one route: what the mirror has."""
    router = APIRouter()

    @router.api_route("/{path:path}", methods=["GET", "HEAD"], response_class=Response)
    async def mirrored(request: Request) -> Response:
        """Return what an upstream has at this address."""
        mirror: Mirror = request.app.state.mirror
        found = await mirror.open(request.scope["path"])
        headers = {"Cache-Control": NEVER_CHANGES} if found.is_kept else {}
        return send_content(request, found.content, found.media_type, headers)

    return router
