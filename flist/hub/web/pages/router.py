"""All routes of the pages."""

from fastapi import APIRouter

from flist.hub.library.hub import Hub
from flist.hub.web.pages import account, assets, changing, files, reading
from flist.hub.web.pages.shared import Desk


def make_router(hub: Hub) -> APIRouter:
    """Return the routes; the last of them matches every path of one part."""
    desk, router = Desk(hub), APIRouter()
    router.include_router(assets.make_router())
    router.include_router(account.make_router(desk))
    router.include_router(changing.make_router(desk))
    router.include_router(files.make_router(desk))
    router.include_router(reading.make_router(desk))
    return router
