"""The pages' style sheet and script. Their names change with their content."""

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from flist.hub.pages import PAGES
from flist.hub.web.shared import NEVER_CHANGES

ASSETS = {"style.css": "text/css", "page.js": "text/javascript"}
HEADERS = {"Cache-Control": NEVER_CHANGES, "X-Content-Type-Options": "nosniff"}


def make_router() -> APIRouter:
    """Return the route."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/-/{name}.{suffix}", methods=["GET", "HEAD"], response_class=Response)
    def asset(name: str, suffix: str) -> Response:
        """Return a file of the pages."""
        for own, kind in ASSETS.items():
            if PAGES.name_asset(own) == f"{name}.{suffix}":
                return Response(PAGES.read(own), media_type=kind, headers=HEADERS)
        raise HTTPException(404, "there is no such file of the pages")

    return router
