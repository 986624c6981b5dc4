"""Farms.

POST /api/v1/farms        a message of the kind `farm`: registers a farm, or changes one
GET  /api/v1/farms/NUMBER a farm, as its owner has signed it
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse

from common.errors import ZosError
from common.farms import FARM_MAX
from common.nodes.envelope import Envelope
from registry.farms.farms import FarmAccepted, FarmChange
from registry.names import show_key
from registry.views.registry import Registry
from registry.views.shown import show_farm
from registry.web.limits import Charge, Limits
from registry.web.models import Farm, FarmWritten
from registry.web.shared import (
    MESSAGE,
    NO_CACHE,
    check_charges,
    check_patience,
    give_back,
    note_refusal,
    read_message,
    spend,
)
from serving.openapi import describe_problems, reading
from serving.rates import address_of
from serving.tokens import Offer, Token

ASK = "ask the registry's operator for a token"
WRITTEN: dict[int | str, dict[str, Any]] = {
    201: {"description": "The farm is new", "model": FarmWritten},
    **describe_problems(401, 403),
}


def make_router(registry: Registry, limits: Limits) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["farms"])

    @router.post(
        "/api/v1/farms", openapi_extra=MESSAGE, responses=WRITTEN, response_model=FarmWritten
    )
    async def write_farm(
        request: Request, token: Annotated[Token | None, Depends(Offer("farms"))]
    ) -> JSONResponse:
        """Register a farm, or change it: the whole of what it is from now on."""
        check_patience(request, limits.refusals)
        policy = registry.settings.farms
        may_register = policy == "open" or (policy == "token" and token is not None)
        try:
            envelope = await read_message(request, "farm")
            charges = find_charges(limits, request, envelope, has_token=token is not None)
            check_charges(request, charges)
            change = FarmChange(envelope, may_register)
            spend(charges)
            try:
                done: FarmAccepted = await registry.scribe.write(registry.farms.accept, change)
            except BaseException:
                give_back(charges)  # anybody may send again what an owner has signed
                raise
        except ZosError as error:
            note_refusal(request, limits.refusals, error)
            raise
        body = {"farm": done.farm, "sequence": done.sequence, "position": done.position}
        return JSONResponse(body, 201 if done.is_new else 200)

    @reading(router, "/api/v1/farms/{number}", response_model=Farm)
    def get_farm(number: Annotated[int, Path(ge=1, le=FARM_MAX)]) -> JSONResponse:
        """Return a farm."""
        return JSONResponse(show_farm(registry.farms.find(number)), headers=NO_CACHE)

    return router


def find_charges(
    limits: Limits, request: Request, envelope: Envelope, *, has_token: bool
) -> list[Charge]:
    """Return what a message takes of the limits."""
    size, address = len(envelope.signed), address_of(request)
    charges = limits.of_farm(show_key(envelope.key), address, size)
    return charges if has_token else [*charges, *limits.of_unproven(address, size, ASK)]
