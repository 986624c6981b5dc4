"""The hub's application: of a plain folder, which is only read, or of a hub with accounts."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI

from flist.hub.folder.library import Library
from flist.hub.jobs.convert import convert
from flist.hub.jobs.follows import KIND, Follows, follow
from flist.hub.jobs.jobs import Jobs
from flist.hub.library.collecting import Upkeep
from flist.hub.library.hub import Hub, open_hub
from flist.hub.mirror.mirrors import Mirrors
from flist.hub.mirror.through import create_mirror
from flist.hub.settings import HubSettings
from flist.hub.state.opening import has_state
from flist.hub.state.viewer import ANYBODY
from flist.hub.web import (
    accounts,
    audit,
    blocks,
    flists,
    folder,
    history,
    jobs,
    oidc,
    repositories,
    sessions,
)
from flist.hub.web.everybody import let_everybody_in
from flist.hub.web.hot import find_in_folder, find_in_hub
from flist.hub.web.pages import assets
from flist.hub.web.pages import router as pages
from flist.hub.web.pages.errors import show_failure
from flist.hub.web.rfs import browse, files, uploads, website
from flist.hub.web.rfs import convert as convert_images
from flist.hub.web.rfs.shelf import FolderShelf, HubShelf
from flist.hub.web.shared import SIGNED_IN, Downloads
from flist.hub.web.viewers import viewer
from flist.hub.web.zerohub import router as zerohub
from serving import kit
from serving.content import FileOpener
from serving.pools import Chores

TITLE = "Zero-OS hub"
KINDS = {"convert": convert, KIND: follow}
FOLLOWS_S = 10.0
MIRRORS_S = 30.0


def create_app(root: Path, settings: HubSettings | None = None) -> FastAPI:
    """Return the application that serves the folder `root`.

    It is a plain folder, unless `zos hub init` has made a hub with accounts of it.
    """
    settings = settings or HubSettings(root=root)
    if settings.upstream:
        return create_mirror(root, settings)
    if has_state(root, settings.database):
        return create_hub_app(open_hub(settings))
    app, shared = kit.make_app(TITLE, settings, show_failure)
    shared.readiness.checks["folder"] = lambda: check_folder(root)
    add_greeting(app)
    app.include_router(assets.make_router())  # for its errors, which are pages
    library, opener, downloads = Library(root), FileOpener(), Downloads()
    app.state.downloads = downloads
    shared.find = find_in_folder(library, opener, downloads.add)
    hashing = shared.pools.hashing
    app.include_router(browse.make_router(FolderShelf(library), lambda _: ANYBODY, hashing))
    app.include_router(folder.make_router(library, opener, hashing, downloads))
    return app


def create_hub_app(hub: Hub) -> FastAPI:
    """Return the application of a hub with accounts, which it closes when it ends."""
    downloads = Downloads()
    hub.jobs = Jobs(hub, KINDS, hub.settings.jobs)
    upkeep = Upkeep(hub, lambda: hub.blocks.count_downloads(downloads.take()))
    chores = make_chores(hub)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        upkeep.start()
        chores.start()
        hub.jobs.start()
        try:
            yield
        finally:
            for stop in (
                websites.ending.close,
                hub.jobs.close,
                chores.close,
                upkeep.stop,
                hub.close,
            ):
                await to_thread.run_sync(stop)

    app, hub.kit = kit.make_app(TITLE, hub.settings, show_failure, lifespan=lifespan)
    app.state.hub = hub
    hub.kit.readiness.checks["database"] = hub.database.check
    hub.kit.find = find_in_hub(hub, downloads.add)
    hub.contents.prepare()
    if hub.settings.open_to_all:
        let_everybody_in(hub)
    websites = add_routes(app, hub, downloads)
    return app


def add_routes(app: FastAPI, hub: Hub, downloads: Downloads) -> website.Websites:
    """Add all routes; the last ones match any path of two parts. Returns what has to be closed."""
    add_greeting(app)
    add = partial(app.include_router, responses=SIGNED_IN)
    add(blocks.make_router(hub, downloads))
    kept = files.Files(hub.database)
    add(uploads.make_router(hub, kept))
    add(files.make_router(hub, kept, downloads.add))
    websites = website.Websites(hub, kept, downloads.add, hub.kit.pools.hashing)
    add(website.make_router(websites, hub.kit.pools.hashing))
    add(jobs.make_router(hub))
    add(convert_images.make_router(hub))
    add(sessions.make_router(hub))
    provider = app.state.oidc = oidc.make_provider(hub.settings)
    if provider is not None:
        add(oidc.make_router(hub, provider))
    add(accounts.make_router(hub))
    add(repositories.make_router(hub))
    add(audit.make_router(hub))
    add(history.make_router(hub))
    add(browse.make_router(HubShelf(hub), viewer, hub.kit.pools.hashing))
    app.include_router(zerohub.make_router(hub))
    app.include_router(pages.make_router(hub))
    add(flists.make_router(hub))
    return websites


def make_chores(hub: Hub) -> Chores:
    """Return what the server does now and then."""
    chores = Chores(lambda: hub.kit.log)
    chores.add("follows", FOLLOWS_S, Follows(hub).run_due)
    tell = partial(hub.jobs.log, "mirror")
    chores.add("mirrors", MIRRORS_S, lambda: Mirrors(hub).run_due(lambda text: tell(said=text)))
    return chores


def add_greeting(app: FastAPI) -> None:
    """Add the answer to a client that checks whether there is a server."""

    @app.get("/api/v1")
    def greet() -> dict[str, str]:
        """Answer in upstream's words."""
        return {"msg": "flist server is working"}


def check_folder(root: Path) -> str | None:
    """Return why the hub folder cannot be served, or None."""
    return None if root.is_dir() else "the hub folder is not there"
