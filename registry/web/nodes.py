"""Nodes and their reports.

GET  /api/v1/nodes/ID          a node
GET  /api/v1/nodes/ID/nonce    what its next report must follow
POST /api/v1/nodes/ID/reports  a message of the kind `report`
"""

import time
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from common.errors import ZosError
from common.nodes.envelope import ForgedError
from common.nodes.nodeid import node_id, parse_node_id
from registry.nodes.judge import check_order
from registry.nodes.model import REGISTER, parse_report
from registry.nodes.nodes import Accepted, Arrived
from registry.nodes.proofs import NOTHING, check_proofs
from registry.views.registry import Registry
from registry.views.shown import show_node
from registry.web.limits import Limits
from registry.web.measures import Measures
from registry.web.models import Expected, Node, Taken
from registry.web.shared import (
    MESSAGE,
    NO_CACHE,
    check_charges,
    check_patience,
    note_refusal,
    read_message,
    spend,
)
from serving.openapi import describe_problems, reading
from serving.rates import address_of

NodeId = Annotated[str, Path(max_length=64, description="an Ed25519 public key in base58")]
FORGED = describe_problems(403)
ENROL = "enrol the node: boot it from an image that a bootstrap server of the farm has made"


def make_router(registry: Registry, limits: Limits, measures: Measures) -> APIRouter:
    """Return the routes. Of all requests, most are reports: their route is tried first."""
    router = APIRouter(tags=["nodes"])
    settings, reception = registry.settings, Reception(registry, limits)

    @router.post(
        "/api/v1/nodes/{node}/reports",
        openapi_extra=MESSAGE,
        responses=FORGED,
        response_model=Taken,
    )
    async def take_report(request: Request, node: NodeId) -> JSONResponse:
        """Take a node's next report into the log."""
        check_patience(request, limits.refusals)
        check_patience(request, limits.repeats)
        try:
            arrived = await reception.receive(request, node)
            measures.reports.labels(arrived.report.kind).inc()
            done: Accepted = await registry.scribe.write(registry.nodes.accept, arrived)
        except ZosError as error:
            is_suspect = getattr(error, "is_suspect", True)
            note_refusal(request, limits.refusals if is_suspect else limits.repeats, error)
            measures.refused.labels(str(getattr(error, "http_status", 503))).inc()
            raise
        if done.doubt:
            measures.doubted.inc()
        body = {"nonce": done.nonce, "interval_s": settings.interval, "time": time.time()}
        return JSONResponse({**body, "position": done.position, "doubt": done.doubt})

    @reading(router, "/api/v1/nodes/{node}", response_model=Node)
    def get_node(node: NodeId) -> JSONResponse:
        """Return a node."""
        parse_node_id(node)
        shown = show_node(registry.nodes.find(node), time.time(), settings.interval)
        return JSONResponse(shown, headers=NO_CACHE)

    @reading(router, "/api/v1/nodes/{node}/nonce", response_model=Expected)
    def get_nonce(node: NodeId) -> JSONResponse:
        """Return what was accepted last, and the nonce of the next report.

        A node that has never reported has no boot, and begins with 1 as any new boot does.
        """
        parse_node_id(node)
        last = registry.nodes.standing(node)
        boot, sequence = (last.boot, last.sequence) if last else (None, 0)
        nonce = registry.nodes.nonce(node, last)
        return JSONResponse({"nonce": nonce, "boot": boot, "sequence": sequence}, headers=NO_CACHE)

    return router


class Reception:
    """Opens what nodes send, before it is written."""

    def __init__(self, registry: Registry, limits: Limits) -> None:
        self.registry = registry
        self.limits = limits

    async def receive(self, request: Request, node: str) -> Arrived:
        """Return a report that is the node's own. Raises `ZosError`."""
        envelope = await read_message(request, "report")
        report, body = parse_report(envelope.payload)
        if node_id(envelope.key) != node or report.node != node:
            raise ForgedError("the report is not signed by this node's key")
        own = self.registry
        last = await run_in_threadpool(own.nodes.standing, node)
        check_order(last, report, own.nodes.nonce(node, last))  # else anybody may have sent it
        size, address = len(envelope.signed), address_of(request)
        counts, charges = [self.limits.of_report(node)], self.limits.of_bytes(node, size)
        if last is None:
            counts.append(self.limits.of_new_node(address))
        check_charges(request, [*counts, *charges])
        spend(counts)  # proofs take time
        proofs = NOTHING
        if report.kind == REGISTER:
            proofs = await run_in_threadpool(
                check_proofs, report, body, own.check_token, own.check_quote
            )
        if proofs.enrolled_for is None and not (last and last.is_enrolled):
            charges += self.limits.of_unproven(address, size, ENROL)
        check_charges(request, charges)
        spend(charges)  # at once: who has no token uses up nothing that is left for others
        return Arrived(envelope, report, body, proofs)
