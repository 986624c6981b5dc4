"""What the requests of one application share."""

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from serving import health
from serving.bodies import BodyMemory
from serving.connections import Connections
from serving.health import Readiness
from serving.logs import Throttle, make_silent_logger
from serving.metrics import Metrics
from serving.openapi import describe
from serving.pools import Pools
from serving.problems import Page, install_problems
from serving.requests import RequestMiddleware
from serving.settings import ServerSettings

if TYPE_CHECKING:
    from serving.fast.cycle import Finder


class Kit:
    """Settings, metrics, readiness, pools and connections of one application.

    The log is silent until a server runs the application.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.app: Any = None
        self.find: Finder | None = None  # answers hot reads below ASGI
        self.alone: tuple[str, str] | None = None  # why one process only can serve, and a hint
        self.settings = settings
        self.log: Any = make_silent_logger()
        self.throttle = Throttle()
        self.metrics = Metrics()
        self.readiness = Readiness()
        self.pools = Pools(settings)
        self.bodies = BodyMemory(settings.max_body_memory)
        self.connections = Connections(settings, self.metrics)


def make_app(
    title: str,
    settings: ServerSettings,
    page: Page | None = None,
    *,
    lifespan: Any = None,
    openapi_url: str | None = "/api/openapi.json",
) -> tuple[FastAPI, Kit]:
    """Return an application that has the kit and no routes of its own yet, and the kit.

    The interactive documentation would load scripts from other sites, and a redirect would be built
    from the Host header, which a client chooses: it has neither.
    """
    app = FastAPI(
        title=title,
        docs_url=None,
        redoc_url=None,
        openapi_url=openapi_url,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    return app, install(app, settings, page)


def install(app: FastAPI, settings: ServerSettings, page: Page | None = None) -> Kit:
    """Add the kit to `app`, as `app.state.kit`: /health, /ready, /metrics, problems, request log.

    Call it before the application's own routes are added. `page` renders errors for browsers.
    """
    kit = Kit(settings)
    app.state.kit = kit
    kit.app = app
    app.include_router(health.router)
    install_problems(app, page)
    describe(app)
    app.add_middleware(RequestMiddleware, kit=kit)
    return kit
