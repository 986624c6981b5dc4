"""What everybody may read under /api: lists, contents, metadata.

GET /api/repositories, /api/flist, /api/fileslist      what there is
GET /api/flist/USER, /api/flist/USER/tags/TAG          a repository, one of its tags
GET /api/flist/USER/FLIST                              everything in a flist
GET /api/flist/USER/FLIST/light (INFO .../FLIST)       its size, time, type and MD5
GET /api/flist/USER/FLIST/metadata, .../taglink        its metadata; where a tag link leads

A token is needed for private repositories only.
"""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from flist.hub.web.shared import headers_of
from flist.hub.web.viewers import viewer
from flist.hub.web.zerohub.catalog import Catalog
from flist.hub.web.zerohub.envelope import IN_PARTS, READING, PublicRoute
from serving.pools import Pool
from serving.respond import send_content

JSON = "application/json"


def make_router(catalog: Catalog, hashing: Pool) -> APIRouter:
    """Return the routes."""
    router = APIRouter(route_class=PublicRoute, responses=READING)
    add_lists(router, catalog)
    add_flists(router, catalog, hashing)
    return router


def add_reading(router: APIRouter, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
    """Add an address that is read; HEAD is the same as GET, and described once."""
    router.add_api_route(path, endpoint, methods=["GET"], **options)
    options["include_in_schema"] = False
    router.add_api_route(path, endpoint, methods=["HEAD"], **options)


def add_list(router: APIRouter, path: str, endpoint: Callable[..., Any]) -> None:
    """Add an address, with and without a slash at its end, as upstream has them."""
    add_reading(router, path, endpoint)
    add_reading(router, f"{path}/", endpoint, include_in_schema=False)


def add_lists(router: APIRouter, catalog: Catalog) -> None:
    """Add the lists."""

    def list_repositories(request: Request) -> Any:
        """List the repositories."""
        return catalog.repositories(viewer(request))

    def list_flists(request: Request) -> list[str]:
        """List every flist as REPO/FILE."""
        return catalog.names(viewer(request))

    def list_everything(request: Request) -> Any:
        """List every repository's flists with their details."""
        return catalog.all_rows(viewer(request))

    def list_repository(request: Request, user: str) -> Any:
        """List a repository's tags, flists and links."""
        return catalog.rows(viewer(request), user)

    def list_tag(request: Request, user: str, tag: str) -> Any:
        """List the links in a tag."""
        return catalog.tag_rows(viewer(request), user, tag)

    add_list(router, "/api/repositories", list_repositories)
    add_list(router, "/api/flist", list_flists)
    add_list(router, "/api/fileslist", list_everything)
    add_list(router, "/api/flist/{user}", list_repository)
    add_reading(router, "/api/flist/{user}/tags/{tag}", list_tag)


def add_flists(router: APIRouter, catalog: Catalog, hashing: Pool) -> None:
    """Add what is known of one flist. What reads it through has its own threads."""

    async def list_contents(request: Request, user: str, name: str) -> Response:
        """List everything in a flist."""

        def read() -> Response:
            asking = viewer(request)
            headers = headers_of({}, is_open=not asking.is_known)
            return send_content(request, catalog.listing(asking, user, name), JSON, headers)

        return await hashing.run(read)

    async def tell(request: Request, user: str, name: str) -> Response:
        """Tell size, time, type and MD5 of a flist."""

        def read() -> Any:
            return catalog.summary(viewer(request), user, name)

        return JSONResponse(await hashing.run(read))

    async def tell_metadata(request: Request, user: str, name: str) -> Response:
        """Tell the metadata of a flist."""

        def read() -> Any:
            return catalog.metadata(viewer(request), user, name)

        return JSONResponse(await hashing.run(read))

    def tell_tag(request: Request, user: str, name: str) -> Any:
        """Tell where a tag link leads."""
        return catalog.tag_link(viewer(request), user, name)

    place = "/api/flist/{user}/{name}"
    add_reading(router, place, list_contents, response_class=Response, responses=IN_PARTS)
    # OpenAPI knows no such method.
    router.add_api_route(place, tell, methods=["INFO"], include_in_schema=False)
    add_reading(router, f"{place}/light", tell)
    add_reading(router, f"{place}/metadata", tell_metadata)
    add_reading(router, f"{place}/taglink", tell_tag)
