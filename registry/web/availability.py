"""Availability.

GET /api/v1/nodes/ID/availability          all months up to now, unsigned
GET /api/v1/nodes/ID/availability/YYYY-MM  the signed file of a month that is settled
"""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from starlette.responses import Response

from common.nodes.nodeid import parse_node_id
from registry.views.registry import Registry
from registry.web.models import Month
from registry.web.nodes import NodeId
from registry.web.shared import NO_CACHE, Message
from serving.openapi import describe_problems, reading

MonthName = Annotated[str, Path(max_length=20, description="YYYY-MM")]


def make_router(registry: Registry) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["availability"])

    @reading(router, "/api/v1/nodes/{node}/availability", response_model=list[Month])
    def list_months(node: NodeId) -> JSONResponse:
        """Return all months of a node up to now, the newest first."""
        parse_node_id(node)
        return JSONResponse(registry.availability.months(node), headers=NO_CACHE)

    @reading(
        router,
        "/api/v1/nodes/{node}/availability/{month}",
        response_model=Message,
        responses=describe_problems(409),
    )
    def get_file(node: NodeId, month: MonthName) -> Response:
        """Return the file of a month: a message of the kind `availability`, which never changes."""
        parse_node_id(node)
        data = registry.availability.file(node, month)
        return Response(data, media_type="application/json", headers=NO_CACHE)

    return router
