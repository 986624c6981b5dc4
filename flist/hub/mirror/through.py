"""A hub that keeps what its clients fetch from other hubs: the cache of a farm's LAN.

    GET /<repo>/<name>.fl[.sig], /flists/<repo>/<name>.fl[.sig]    current, or while all upstreams
                                   are away, as it was
    GET /blocks/<hh>/<id>, /blocks/<id>, /api/v1/block/<id>, /objects/<SHA-256>    kept for good
    GET /api/flist                 the upstream's list

Blocks are kept only with the right hash, and a flist only whole. The first upstream is used while
it answers well, then the next.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from common.errors import UsageError
from flist.http.urls import split_url
from flist.hub.settings import HubSettings
from flist.hub.state.opening import has_state
from serving import kit as serving_kit
from serving.mirror.addresses import DIGEST, Addresses, Rule, hub_rules
from serving.mirror.mirror import Mirror
from serving.mirror.shelf import Shelf
from serving.mirror.upstream import Upstream
from serving.respond import send_content

if TYPE_CHECKING:
    from serving.kit import Kit

NEVER_CHANGES = "public, max-age=31536000, immutable"
RULES = (
    Rule(rf"/api/v1/block/(?P<block>{DIGEST})", "hub", True),
    Rule(rf"/objects/(?P<sha256>{DIGEST})", "hub", True),
    Rule("/api/flist", "hub", False),
    *hub_rules(),
)


def create_mirror(root: Path, settings: HubSettings) -> FastAPI:
    """Return the application that serves what is at the upstreams, and keeps it in `root`.

    The folder is taken when the application starts, and let go when it ends.
    """
    if has_state(root, settings.database):
        raise UsageError(
            f"cannot keep copies in {root}: it is a hub of its own",
            hint="`zos hub mirror add` lets it follow another one",
        )
    for url in settings.upstream:
        if split_url(url).scheme not in ("http", "https"):
            raise UsageError(f"cannot use {url[:80]!r}: not an http(s) address")

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with Shelf(root, settings.cache_bytes) as shelf:
            kit: Kit = app.state.kit
            upstreams = {"hub": Upstream(*(url.rstrip("/") for url in settings.upstream))}

            def warn(text: str) -> None:
                kit.log.warning("mirror", said=text)

            mirror = Mirror(
                Addresses(RULES), shelf, upstreams, kit.pools.hashing, settings.upstream_stale, warn
            )
            app.state.mirror = mirror
            with contextlib.closing(mirror):
                yield

    app, installed = serving_kit.make_app(
        "Zero-OS hub mirror", settings, lifespan=lifespan, openapi_url=None
    )
    installed.alone = ("a folder of copies is one process's", "more hubs need folders of their own")
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
