"""The routes of blocks.

GET /blocks/<hh>/<id>, /blocks/<id>   a block: never changes
GET /api/v1/block/<id>                the same, at the path of upstream's server
GET /api/v1/block/<id>/downloads      how often it was fetched
"""

from collections.abc import Callable

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from flist.hub.library.hub import Hub
from flist.hub.names import BLOCK
from flist.hub.state.viewer import Viewer
from flist.hub.web.shared import CONTENT, Downloads, send_immutable
from flist.hub.web.viewers import viewer
from serving.content import Content
from serving.openapi import reading

Opener = Callable[[Viewer, str], Content | None]


def make_router(hub: Hub, downloads: Downloads) -> APIRouter:
    """Return the routes of a hub's blocks."""

    def open_block(asking: Viewer, name: str) -> Content | None:
        """Return a block to send; None if there is none, or the viewer may not read it."""
        if not BLOCK.fullmatch(name):
            return None
        block_id = bytes.fromhex(name)
        if not hub.readers.may_read_block(asking, block_id):
            return None
        return hub.blocks.open(block_id)

    router = APIRouter()

    @reading(router, "/blocks/{prefix}/{name}", **CONTENT)
    def read_sharded(request: Request, prefix: str, name: str) -> Response:
        """Return a block."""
        return send(request, name if name[:2] == prefix else "")

    @reading(router, "/blocks/{name}", **CONTENT)
    @reading(router, "/api/v1/block/{name}", **CONTENT)
    def read_block(request: Request, name: str) -> Response:
        """Return a block."""
        return send(request, name)

    def send(request: Request, name: str) -> Response:
        content = open_block(viewer(request), name)
        if content and request.method == "GET":
            downloads.add(name)
        is_open = content is not None and hub.readers.is_open(bytes.fromhex(name))
        return send_immutable(request, content, is_open=is_open)

    @reading(router, "/api/v1/block/{name}/downloads")
    def count_downloads(request: Request, name: str) -> dict[str, object]:
        """Return how often a block was fetched."""
        asking = viewer(request)
        block_id = bytes.fromhex(name) if BLOCK.fullmatch(name) else b""
        row = hub.blocks.find(block_id)
        if row is None or not hub.readers.may_read_block(asking, block_id):
            raise HTTPException(404, "there is no such block")
        count = row.downloads + downloads.counts.get(name, 0)
        return {"block_hash": name, "downloads_count": count, "block_size": row.size}

    return router
