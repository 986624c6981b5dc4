"""The pages for people.

GET /                     overview, with a map
GET /pages/farms          all farms
GET /pages/farms/NUMBER   a farm and its nodes
GET /pages/nodes/ID       a node and its history
GET /pages/log            the log's head, and how to verify it
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from common.farms import FARM_MAX
from registry.pages import PAGES, browse
from registry.views.queries import PAGE_MAX
from registry.views.registry import Registry
from registry.web.shared import NO_CACHE
from serving.content import Pieces
from serving.openapi import reading
from serving.pages import DIGEST_CHARS
from serving.respond import send_content

Number = Annotated[int, Query(ge=1, le=PAGE_MAX)]
NEVER_CHANGES = "public, max-age=31536000, immutable"
HIDDEN: dict[str, Any] = {"include_in_schema": False, "response_model": None}


def make_router(registry: Registry) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    @reading(router, "/", **HIDDEN)
    def overview() -> HTMLResponse:
        return browse.show_overview(registry)

    @reading(router, "/pages/farms", **HIDDEN)
    def farms(page: Number = 1) -> HTMLResponse:
        return browse.show_farms(registry, page)

    @reading(router, "/pages/farms/{farm}", **HIDDEN)
    def farm(farm: Annotated[int, Path(ge=1, le=FARM_MAX)], page: Number = 1) -> HTMLResponse:
        return browse.show_farm(registry, farm, page)

    @reading(router, "/pages/nodes/{node}", **HIDDEN)
    def node(node: Annotated[str, Path(max_length=64)]) -> HTMLResponse:
        return browse.show_node(registry, node)

    @reading(router, "/pages/log", **HIDDEN)
    def log() -> HTMLResponse:
        return browse.show_log(registry)

    @reading(router, "/style-{digest}.css", **HIDDEN)
    async def style(request: Request, digest: str) -> Response:
        return send_style(request, digest)

    return router


def send_style(request: Request, digest: str) -> Response:
    """Return the style sheet, which may be kept only under the name that its content has."""
    whole = PAGES.digest("style.css")
    is_named = len(digest) >= DIGEST_CHARS and whole.startswith(digest)
    caching = {"Cache-Control": NEVER_CHANGES} if is_named else NO_CACHE
    content = Pieces([memoryview(PAGES.read("style.css").encode())], f'"{whole}"')
    headers = {**caching, "X-Content-Type-Options": "nosniff"}
    return send_content(request, content, "text/css", headers)
