"""All routes of 0-hub's interface."""

from fastapi import APIRouter

from flist.hub.library.hub import Hub
from flist.hub.web.zerohub import files, images, listening, me, pages, public, uploads
from flist.hub.web.zerohub.building import Builder
from flist.hub.web.zerohub.catalog import Catalog


def make_router(hub: Hub) -> APIRouter:
    """Return the routes; they come before those that match every path of two parts."""
    router = APIRouter()
    catalog, hashing = Catalog(hub), hub.kit.pools.hashing
    builder = Builder(catalog)
    router.include_router(uploads.make_router(builder, hub.kit))
    router.include_router(images.make_router(builder, hub.kit))
    router.include_router(pages.make_router(builder, hub.kit))
    router.include_router(listening.make_router(hub))
    router.include_router(me.make_router(catalog, hashing))
    router.include_router(public.make_router(catalog, hashing))
    router.include_router(files.make_router(catalog, hashing))
    return router
