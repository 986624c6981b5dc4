"""Conversion of images, at the addresses of upstream's rfs server.

    POST /api/v1/fl          {"image_name": IMAGE, ...credentials}: {"id": JOB}
    GET  /api/v1/fl/<job>    {"flist_state": STATE}, in the form of the enumeration upstream has

The flist goes to the account's own repository. A final state can be asked for more than once.
"""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from flist.hub.jobs.model import ACCEPTED, DONE, FAILED, Job
from flist.hub.library.hub import Hub
from flist.hub.state.viewer import PUBLISH, READ
from flist.hub.web.bodies import MAX_JSON_BYTES, parse_model, read_json
from flist.hub.web.jobs import Conversion, start_conversion
from flist.hub.web.viewers import demand
from flist.server import api


class ImageQuestion(BaseModel):
    """What upstream's clients send."""

    image_name: str = Field(min_length=1, max_length=500)
    username: str | None = None
    password: str | None = None
    auth: str | None = None
    email: str | None = None
    server_address: str | None = None
    identity_token: str | None = None
    registry_token: str | None = None


def make_router(hub: Hub) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    @router.post(f"/{api.FLISTS}", status_code=201)
    async def create_flist(request: Request) -> dict[str, str]:
        """Convert an image."""
        pool = hub.kit.pools.uploads
        viewer = await pool.run(demand, request, PUBLISH)
        asked = parse_model(await read_json(request, MAX_JSON_BYTES), ImageQuestion)
        names = ("username", "password", "auth", "identity_token", "registry_token")
        secrets = {name: getattr(asked, name) or "" for name in names}
        wanted = Conversion(image=asked.image_name, **secrets)
        return {"id": await pool.run(start_conversion, hub, viewer, wanted)}

    @router.get(f"/{api.FLISTS}/{{number}}")
    def read_state(request: Request, number: str) -> dict[str, Any]:
        """Return how far a conversion is."""
        return {"flist_state": state_of(hub.jobs.find(demand(request, READ), number))}

    return router


def state_of(job: Job) -> Any:
    """Return the state of a job as upstream's enumeration says it."""
    image = job.spec.get("image", "")
    if job.state == FAILED:
        return "Failed"
    if job.state == DONE:
        return {"Created": f"flist of {image} is created"}
    if job.state == ACCEPTED:
        return {"Accepted": f"flist of {image} is accepted"}
    if job.progress == 0:
        return {"Started": f"flist of {image} is started"}
    return {"InProgress": {"msg": job.message, "progress": job.progress}}
