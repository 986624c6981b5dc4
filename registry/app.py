"""The application: its routes, and what it does beside them."""

import contextlib
from collections.abc import AsyncIterator

from anyio import to_thread
from fastapi import FastAPI

from registry.log.upkeep import ALIVE_S, FORGET_S, Upkeep
from registry.pages.browse import show_failure
from registry.views.registry import Registry
from registry.web import availability, farms, grid, log, nodes, pages
from registry.web.limits import Limits
from registry.web.measures import Measures
from serving import kit
from serving.pools import Chores


def create_app(registry: Registry) -> FastAPI:
    """Return the application of a registry, which it closes when it ends."""
    upkeep = Upkeep(registry.database, registry.scribe, registry.settings.keep_months)
    chores = Chores(lambda: registry.kit.log)
    chores.add("alive", ALIVE_S, upkeep.mark_alive)
    chores.add("forget", FORGET_S, upkeep.forget)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(upkeep.mark_alive)
        chores.start()
        try:
            yield
        finally:
            for stop in (chores.close, registry.close):
                await to_thread.run_sync(stop)

    app, registry.kit = kit.make_app(
        "Zero-OS registry", registry.settings, show_failure, lifespan=lifespan
    )
    app.state.registry = registry
    app.state.tokens = registry.tokens
    registry.kit.readiness.checks["database"] = registry.database.check
    registry.kit.readiness.checks["clock"] = registry.log.find_clock_fault
    add_routes(app, registry)
    return app


def add_routes(app: FastAPI, registry: Registry) -> None:
    """Add all routes."""
    limits, measures = Limits(registry.settings), Measures(registry.kit.metrics)
    app.include_router(nodes.make_router(registry, limits, measures))  # its first route is busy
    app.include_router(log.make_router(registry, limits))
    app.include_router(farms.make_router(registry, limits))
    app.include_router(availability.make_router(registry))
    app.include_router(grid.make_router(registry))
    app.include_router(pages.make_router(registry))
