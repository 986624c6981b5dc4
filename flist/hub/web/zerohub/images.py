"""Conversion of container images in 0-hub's interface, by the hub's jobs.

POST /api/flist/me/docker answers when the conversion has ended, as upstream's clients expect.
"""

import asyncio
import re
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from flist.hub.errors import HubError, InvalidError
from flist.hub.library.hub import Hub
from flist.hub.names import NEW_SUFFIX
from flist.hub.web.jobs import Conversion, start_conversion
from flist.hub.web.zerohub.acting import Actor
from flist.hub.web.zerohub.building import Builder
from flist.hub.web.zerohub.envelope import CHANGING, EnvelopeRoute, success
from flist.hub.web.zerohub.forms import receive_form
from flist.hub.web.zerohub.me import ME, changes
from flist.hub.web.zerohub.names import MAX_NAME
from serving.kit import Kit

NO_IMAGE = "missing docker image name"
POLL_S = 0.5
WAIT_S = 3600.0
MAX_IMAGE_CHARS = 500
UNFIT = re.compile(r"[^A-Za-z0-9._+-]")
Changer = Annotated[Actor, Depends(changes)]


def start(hub: Hub, actor: Actor, image: str | None) -> str:
    """Submit the job of a conversion; return its id. Raises `HubError`."""
    if not image:
        raise HubError(NO_IMAGE)
    if len(image) > MAX_IMAGE_CHARS:
        raise InvalidError("the image's name is too long")
    name = UNFIT.sub("-", image)[-MAX_NAME:].lstrip("-._+") + NEW_SUFFIX  # as upstream names it
    wanted = Conversion(image=image, repository=actor.repo, name=name)
    return start_conversion(hub, actor.viewer, wanted)


async def wait(hub: Hub, kit: Kit, actor: Actor, job: str) -> dict[str, Any]:
    """Return what a conversion made. Raises `InvalidError` with the reason if it failed."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = await kit.pools.uploads.run(hub.jobs.find, actor.viewer, job)
        if found.is_final:
            if found.state == "failed":
                raise InvalidError(found.message)
            result: dict[str, Any] = found.result
            return result
        await asyncio.sleep(POLL_S)
    raise InvalidError(f"the conversion takes too long; it is the job {job}")


def make_router(builder: Builder, kit: Kit) -> APIRouter:
    """Return the route."""
    router = APIRouter(route_class=EnvelopeRoute, responses=CHANGING)
    hub = builder.hub

    @router.post(f"{ME}/docker")
    async def convert(request: Request, actor: Changer) -> Response:
        """Convert a container image."""
        async with receive_form(request, builder.folder, builder.limit, kit.pools.uploads) as form:
            image = form.first("image")
        job = await kit.pools.uploads.run(start, hub, actor, image)
        result = await wait(hub, kit, actor, job)
        return success({"name": result["name"], **result})

    return router
