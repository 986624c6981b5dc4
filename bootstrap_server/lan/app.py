"""The LAN's HTTP server: iPXE's files for HTTP Boot, the farm's script, and the mirror."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from bootstrap_server.errors import NotThereError
from bootstrap_server.lan.config import SCRIPT
from bootstrap_server.web.shared import BINARY, NEVER_CHANGES, answer, make_router, send_text
from serving import kit
from serving.bodies import read_body
from serving.content import Pieces
from serving.mirror.mirror import Mirror
from serving.mirror.upstream import Upstream, UpstreamError
from serving.rates import RateLimit
from serving.respond import send_content
from serving.settings import ServerSettings

REPORT_MAX_BYTES = 8192
REPORTS_PER_MINUTE, REPORTS_AT_ONCE = 60, 30  # of one machine, whose boot has about ten
REPORTS_OF_ALL_PER_MINUTE, REPORTS_OF_ALL_AT_ONCE = 6000, 2000
SENDING_MAX = 8  # reports at once; a server that is slow must not take the threads of downloads
NO_SCRIPT = "#!ipxe\n"
STAGE = re.compile("[a-z]{1,20}")


@dataclass(frozen=True)
class Served:
    """What the application serves. `script` may block."""

    programs: Mapping[str, bytes]
    script: Callable[[], str]


def create_app(served: Served, settings: ServerSettings) -> FastAPI:
    """Return the application; `add_mirror` adds the mirror."""
    app, shared = kit.make_app("Zero-OS LAN boot", settings, openapi_url="/openapi.json")
    shared.alone = ("dnsmasq and the mirror belong to one process", "leave `workers` at 1")
    app.state.programs = served.programs
    app.include_router(files_router(served))
    return app


def files_router(served: Served) -> APIRouter:
    """Return the routes of what firmware and iPXE load."""
    router = make_router()
    contents = {
        name: Pieces([memoryview(data)], f'"{hashlib.sha256(data).hexdigest()}"')
        for name, data in served.programs.items()
    }

    @answer(router, f"/{SCRIPT}")
    def script() -> Response:
        """Return the farm's script."""
        return send_text(served.script())

    @answer(router, "/{name}")
    async def program(request: Request, name: str) -> Response:
        """Return a file of iPXE."""
        if name not in contents:
            raise NotThereError("there is no such file", hint="it has " + ", ".join(contents))
        return send_content(request, contents[name], BINARY, {})

    return router


def add_mirror(app: FastAPI, mirror: Mirror, server: Upstream) -> None:
    """Add the routes of the mirror, and those that pass nodes' reports on to the server."""
    router = make_router()

    async def mirrored(request: Request) -> Response:
        """Return what the bootstrap server or the hub has at this address."""
        found = await mirror.open(request.scope["path"])
        headers = {"Cache-Control": NEVER_CHANGES} if found.is_kept else {}
        return send_content(request, found.content, found.media_type, headers)

    for prefix in ("kernel", "channel", "hub"):
        answer(router, f"/{prefix}/{{path:path}}")(mirrored)

    limits = [
        Depends(RateLimit(REPORTS_PER_MINUTE, REPORTS_AT_ONCE)),
        Depends(RateLimit(REPORTS_OF_ALL_PER_MINUTE, REPORTS_OF_ALL_AT_ONCE, is_for_all=True)),
    ]
    sending = CapacityLimiter(SENDING_MAX)

    @router.api_route(
        "/boot/{stage}", methods=["GET", "POST"], response_class=Response, dependencies=limits
    )
    async def report(request: Request, stage: str) -> Response:
        """Pass a node's report on; a node boots all the same if the server does not answer."""
        if not STAGE.fullmatch(stage):
            raise NotThereError("there is no such stage of a boot")
        body = await read_body(request, REPORT_MAX_BYTES)
        headers = {"Content-Type": request.headers.get("content-type", "application/json")}
        if request.client:
            headers["X-Forwarded-For"] = request.client.host
        query = request.scope["query_string"].decode("latin-1")
        target = f"/boot/{stage}{'?' if query else ''}{query}"
        try:
            said = await to_thread.run_sync(
                server.send, request.method, target, body, headers, limiter=sending
            )
        except UpstreamError as error:
            mirror.warn(f"a report of a node is lost: {error}")
            return PlainTextResponse(NO_SCRIPT)
        return PlainTextResponse(said)

    app.include_router(router)
