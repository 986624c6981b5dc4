"""The boot log: nodes report their stages, and farmers follow them.

A report changes something, also by GET: iPXE has no other way. So this is the one address without
HEAD. Everybody may report, hence the limits; a report proves nothing but by its enrolment token.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter, Histogram
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.nodes.bootlog import Machine
from bootstrap_server.nodes.report import IpxeReport, NodeReport, Stage
from bootstrap_server.nodes.views import show_machine, show_whole_machine
from bootstrap_server.nodes.watch import Changes, Watch
from bootstrap_server.options.model import parse_farm
from bootstrap_server.web.shared import Server, Shared, answer, make_router
from common.bootcodes import CODES
from common.errors import ZosError
from serving.bodies import read_body
from serving.kit import Kit
from serving.rates import RateLimit, address_of
from serving.tokens import Demand, Offer, Token

REPORT_MAX_BYTES = 8192
HEARTBEAT_S = 15.0
RETRY_MS = 3000
FRESH = {"Cache-Control": "no-store"}
STREAM = {**FRESH, "X-Accel-Buffering": "no"}  # nginx would hold events back
JSON = "application/json"
BUCKETS_S = (5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200)
FOR_ALL = 5  # times as many reports of all clients as of one

router = make_router()
Reader = Annotated[Token | None, Depends(Offer("read"))]


class MediaTypeError(ZosError):
    """The body is of another kind than the address takes."""

    http_status = 415


class Reporting:
    """The limits and the metrics of reports to one application."""

    def __init__(self, kit: Kit, per_minute: int) -> None:
        self.limits = (
            RateLimit(per_minute, max(1, per_minute // 4)),
            RateLimit(FOR_ALL * per_minute, max(1, per_minute), is_for_all=True),
        )
        self.reports = Counter(
            "zos_boot_reports",
            "Reports of booting nodes by stage and code of failure",
            ("stage", "code"),
            registry=kit.metrics.registry,
        )
        self.duration = Histogram(
            "zos_boot_duration_seconds",
            "Time from a node's script to its report that it is ready",
            buckets=BUCKETS_S,
            registry=kit.metrics.registry,
        )

    def note(self, stage: str, code: str, took_s: float | None) -> None:
        """Count a report."""
        self.reports.labels(stage, code if code in ("", *CODES) else "other").inc()
        if took_s is not None:
            self.duration.observe(took_s)


def install(app: Any, server: Server, kit: Kit) -> None:
    """Give the application what its requests share here."""
    app.state.reporting = Reporting(kit, server.settings.reports_per_minute)
    app.state.watch = Watch(server.log, lambda: kit.readiness.is_stopping)


async def limit_reports(request: Request) -> None:
    """Refuse a report of an address that sends too many, or if all together send too many."""
    for limit in request.app.state.reporting.limits:
        await limit(request)


reports = APIRouter(dependencies=[Depends(limit_reports)])


@reports.get("/boot/{stage}", response_class=Response)
def report_by_ipxe(
    request: Request, stage: Stage, report: Annotated[IpxeReport, Query()], server: Shared
) -> Response:
    """Take a report of iPXE, and answer with a script that does nothing."""
    note(request, server, stage, report)
    return Response("#!ipxe\n", media_type="text/plain", headers=FRESH)


@reports.post(
    "/boot/{stage}",
    status_code=204,
    response_class=Response,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": NodeReport.model_json_schema()}},
        }
    },
)
async def report_by_node(request: Request, stage: Stage, server: Shared) -> Response:
    """Take a report of a node."""
    report = parse_body(request, await read_body(request, REPORT_MAX_BYTES, is_guest=True))
    await run_in_threadpool(note, request, server, stage, report)
    return Response(status_code=204, headers=FRESH)


def parse_body(request: Request, body: bytes) -> NodeReport:
    """Return the report in a body. Raises what is answered with 415 or 422."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise MediaTypeError(f"a report is {JSON}")
    try:
        return NodeReport.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(
            error.errors(include_url=False, include_context=False)
        ) from error


def note(request: Request, server: Server, stage: str, report: IpxeReport) -> None:
    """Keep and count a report. Raises `InputError` for a false enrolment token."""
    took_s = server.log.record(stage, report, prove_farm(server, report))
    request.app.state.reporting.note(stage, report.code, took_s)


def prove_farm(server: Server, report: IpxeReport) -> int | None:
    """Return the farm that a report's enrolment token proves, if it has one."""
    if not isinstance(report, NodeReport) or not report.enrol:
        return None
    enrolment = server.enroller.verify(report.enrol)
    if enrolment is None:
        return None
    said = (report.farm or enrolment.farm, report.mode or enrolment.run_mode)
    if said != (enrolment.farm, enrolment.run_mode):
        raise InputError("enrol", "the enrolment token is for another farm or run mode")
    return enrolment.farm


router.include_router(reports)


@answer(router, "/api/farms/{farm}/nodes")
def list_nodes(farm: str, server: Shared, token: Reader) -> JSONResponse:
    """List a farm's nodes with their last boot; with a token of the scope read, all that is known.

    At most 1000 are listed, the last ones seen.
    """
    machines = server.log.list_farm(parse_farm(farm))
    shown = [show_machine(machine, is_full=token is not None) for machine in machines]
    return JSONResponse({"nodes": shown}, headers=FRESH)


@answer(router, "/api/farms/{farm}/nodes/{label}")
def show_node(
    farm: str, label: str, server: Shared, _: Annotated[Token, Depends(Demand("read"))]
) -> JSONResponse:
    """Return all that is known of a node, and its last boots."""
    machine = server.log.find(parse_farm(farm), label)
    if machine is None:
        raise NotThereError("this farm has no such node")
    return JSONResponse(show_whole_machine(machine), headers=FRESH)


@router.get("/api/farms/{farm}/events", response_class=StreamingResponse)
async def follow_nodes(request: Request, farm: str, token: Reader) -> StreamingResponse:
    """Send each of a farm's nodes when it has reported, as server-sent events."""
    watch: Watch = request.app.state.watch
    client = address_of(request)
    manager = watch.watching(parse_farm(farm), client)
    changes = await manager.__aenter__()  # an error must be told before the response begins

    async def stream() -> AsyncIterator[str]:
        try:
            yield f"retry: {RETRY_MS}\n\n"
            async for machines in take_changes(changes):
                yield render_events(machines, is_full=token is not None)
        finally:
            await manager.__aexit__(None, None, None)

    return StreamingResponse(stream(), media_type="text/event-stream", headers=STREAM)


async def take_changes(changes: Changes) -> AsyncIterator[Sequence[Machine]]:
    """Yield what changes until the server stops; nothing, when nothing did for a while."""
    while True:
        try:
            machines = await asyncio.wait_for(changes.get(), HEARTBEAT_S)
        except TimeoutError:
            yield ()
            continue
        if machines is None:
            return
        yield machines


def render_events(machines: Iterable[Machine], *, is_full: bool) -> str:
    """Return one event per machine; a comment if there is none, which keeps proxies from ending
    the connection.
    """
    shown = (json.dumps(show_machine(machine, is_full=is_full)) for machine in machines)
    return "".join(f"data: {text}\n\n" for text in shown) or ": waiting\n\n"
