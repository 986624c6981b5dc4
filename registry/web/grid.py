"""What clients of ThreeFold's grid proxy read.

GET /farms              farms
GET /nodes              nodes
GET /nodes/ID           a node, by its number or its id
GET /nodes/ID/status    whether it is up
GET /stats              sums
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse

from registry.views import grid
from registry.views.queries import FarmQuery, NodeQuery, StatsQuery
from registry.views.registry import Registry
from registry.views.search import Found
from registry.web.gridmodels import GridFarm, GridListed, GridNode, GridStats, GridStatus
from registry.web.shared import NO_CACHE
from serving.openapi import reading

Name = Annotated[str, Path(min_length=1, max_length=64, description="a node's number or id")]
COUNT: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "count": {
                "description": "how many there are in all, with `ret_count`",
                "schema": {"type": "integer"},
            }
        }
    }
}


def make_router(registry: Registry) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["grid"])
    search = registry.search

    @reading(router, "/farms", response_model=list[GridFarm], responses=COUNT)
    def list_farms(query: Annotated[FarmQuery, Query()]) -> JSONResponse:
        """Return a page of farms."""
        found = search.farms(query)
        return answer([grid.show_farm(row) for row in found.rows], found)

    @reading(router, "/nodes", response_model=list[GridListed], responses=COUNT)
    def list_nodes(query: Annotated[NodeQuery, Query()]) -> JSONResponse:
        """Return a page of nodes."""
        found, now_s = search.nodes(query), search.clock()
        shown = [grid.show_listed(row, now_s, search.interval_s) for row in found.rows]
        return answer(shown, found)

    @reading(router, "/nodes/{name}", response_model=GridNode)
    def get_node(name: Name) -> JSONResponse:
        """Return a node."""
        shown = grid.show_node(search.node(name), search.clock(), search.interval_s)
        return JSONResponse(shown, headers=NO_CACHE)

    @reading(router, "/nodes/{name}/status", response_model=GridStatus)
    def get_status(name: Name) -> JSONResponse:
        """Return whether a node is up."""
        status = grid.name_status(search.node(name), search.clock(), search.interval_s)
        return JSONResponse({"status": status}, headers=NO_CACHE)

    @reading(router, "/stats", response_model=GridStats)
    def get_stats(query: Annotated[StatsQuery, Query()]) -> JSONResponse:
        """Return the sums of all nodes, at most half a minute old."""
        return JSONResponse(grid.show_stats(registry.summary.sums(query.status)), headers=NO_CACHE)

    return router


def answer(shown: list[dict[str, Any]], found: Found) -> JSONResponse:
    """Return a page, with the number of all if that was asked for."""
    counted = {} if found.count is None else {"count": str(found.count)}
    return JSONResponse(shown, headers={**NO_CACHE, **counted})
