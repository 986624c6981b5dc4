"""The application: its routers, and what their requests share."""

from fastapi import FastAPI

from bootstrap_server.pages.failures import show_failure
from bootstrap_server.settings import Settings
from bootstrap_server.web import boot, claim, images, log, nodes, pages, publish, releases
from bootstrap_server.web.hot import find_hot
from bootstrap_server.web.shared import Server
from serving import kit
from serving.settings import ServerSettings


def create_app(settings: Settings, common: ServerSettings | None = None) -> FastAPI:
    """Return the application. The first request for an image loads the template."""
    app, shared = kit.make_app(
        "Zero-OS bootstrap server",
        common or ServerSettings(),
        show_failure,
        openapi_url="/openapi.json",
    )
    server = app.state.server = Server(settings, shared.pools.hashing)
    app.state.tokens = server.tokens
    if not server.database.is_lasting:
        shared.alone = ("the state is in memory", "--state DIR, or --database URL")
    shared.readiness.checks["template"] = server.check_template
    shared.readiness.checks["database"] = server.database.check
    shared.readiness.facts = server.describe
    log.install(app, server, shared)
    shared.find = find_hot(server)
    for area in (pages, claim, boot, images, log, nodes, releases, publish):
        app.include_router(area.router)
    return app
