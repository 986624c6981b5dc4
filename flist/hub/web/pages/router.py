"""All routes of the pages."""

from fastapi import APIRouter, Depends, Request

from flist.hub.errors import AbsentError
from flist.hub.library.hub import Hub
from flist.hub.web.pages import account, assets, changing, converting, files, reading, repositories
from flist.hub.web.pages.shared import Desk


async def refuse_zeros(request: Request) -> None:
    """Refuse an address with a zero byte, which no name has and PostgreSQL takes in no text."""
    if "\0" in request.url.path or "%00" in request.url.query:
        raise AbsentError("nothing is at this address")


def make_router(hub: Hub) -> APIRouter:
    """Return the routes; the last of them matches every path of one part."""
    desk, router = Desk(hub), APIRouter(dependencies=[Depends(refuse_zeros)])
    router.include_router(assets.make_router())
    router.include_router(account.make_router(desk))
    router.include_router(changing.make_router(desk))
    router.include_router(repositories.make_router(desk))
    router.include_router(converting.make_router(desk))
    router.include_router(files.make_router(desk))
    router.include_router(reading.make_router(desk))
    return router
