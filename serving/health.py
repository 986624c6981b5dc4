"""GET /health (the process answers), /ready (it can do its work) and /metrics."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, PlainTextResponse, Response

Check = Callable[[], str | None]
"""Returns why the server cannot do its work, or None. Called for each request: must be quick."""
FRESH = {"Cache-Control": "no-store"}

router = APIRouter(tags=["operation"])


class Readiness:
    """The named checks of a server, and what else `/ready` tells."""

    def __init__(self) -> None:
        self.checks: dict[str, Check] = {}
        self.facts: Callable[[], Mapping[str, object]] = dict
        self.is_stopping = False

    def find_reasons(self) -> dict[str, str]:
        """Return why the server is not ready, by check; empty: it is."""
        reasons = {"stopping": "the server is stopping"} if self.is_stopping else {}
        for name, check in self.checks.items():
            reason = check()
            if reason is not None:
                reasons[name] = reason
        return reasons


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health() -> JSONResponse:
    """Tell that the process answers."""
    return JSONResponse({"status": "ok"}, headers=FRESH)


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses={503: {"description": "It cannot; `reasons` says why"}})
def ready(request: Request) -> JSONResponse:
    """Tell whether the server can do its work: 200, or 503 with the reasons."""
    readiness: Readiness = request.app.state.kit.readiness
    reasons = readiness.find_reasons()
    said: dict[str, Any] = {"status": "not ready" if reasons else "ready", "reasons": reasons}
    return JSONResponse(
        {**said, **readiness.facts()}, status_code=503 if reasons else 200, headers=FRESH
    )


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus' text format."""
    text = request.app.state.kit.metrics.render()
    return Response(text, media_type=CONTENT_TYPE_LATEST, headers=FRESH)
