"""Conversions, and what follows an image.

    POST   /api/v1/convert                    convert an image: {"id": JOB}
    GET    /api/v1/jobs, /api/v1/jobs/<id>    own jobs
    DELETE /api/v1/jobs/<id>                  cancel one
    GET    /api/v1/jobs/<id>/events           what happens, as server-sent events
    GET    /api/v1/follows/<repo>             which flists follow an image
    PUT    /api/v1/follows/<repo>/<name>      let one follow an image
    DELETE /api/v1/follows/<repo>/<name>
    POST   /api/v1/hooks/<id>                 a webhook: the image may have changed

A webhook's secret is its bearer token. For registries that can't send a header, it may also be in
the query, which is not logged: ?secret=SECRET.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from common.errors import UsageError
from flist.errors import FlistError
from flist.hub.errors import InvalidError
from flist.hub.jobs.convert import CREDENTIALS, check_image
from flist.hub.jobs.follows import Follow, Follows
from flist.hub.jobs.model import BusyError, Job
from flist.hub.library.hub import Hub
from flist.hub.names import is_flist, is_repo
from flist.hub.state.viewer import PUBLISH, READ, Viewer
from flist.hub.web.viewers import demand
from flist.oci.platform import parse_platform
from flist.oci.source.auth import read_credentials
from flist.oci.source.reference import flist_name
from serving.bodies import read_body

POLL_S = 0.5
COMMENT_EVERY_S = 15.0
WATCH_S = 3600.0
WATCHERS_MAX = 256
WATCHERS_OF_ACCOUNT = 16
HOOK_MAX_BYTES = 1 << 20
STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
NUMBER_MAX = 1 << 62


class Conversion(BaseModel):
    """An image, and where its flist shall be; without a repository: the account's own."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(min_length=1, max_length=500)
    repository: str = Field(default="", max_length=100)
    name: str = Field(default="", max_length=200)
    platform: str = Field(default="", max_length=100)
    username: str = Field(default="", max_length=1000)
    password: str = Field(default="", max_length=10_000)
    auth: str = Field(default="", max_length=10_000)
    identity_token: str = Field(default="", max_length=10_000)
    registry_token: str = Field(default="", max_length=10_000)


class Following(BaseModel):
    """What a flist shall follow; `interval_s` null: only when the webhook is called."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(min_length=1, max_length=500)
    interval_s: float | None = Field(default=None, le=1e9)
    has_hook: bool = False


class Watchers:
    """Counts who watches jobs at the moment."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def check(self, name: str) -> None:
        """Raise `BusyError` if there are too many."""
        if sum(self.counts.values()) >= WATCHERS_MAX:
            raise BusyError("too many watch jobs on this server")
        if self.counts.get(name, 0) >= WATCHERS_OF_ACCOUNT:
            raise BusyError("you watch too many jobs at the same time")

    def enter(self, name: str) -> None:
        """Count one more."""
        self.counts[name] = self.counts.get(name, 0) + 1

    def leave(self, name: str) -> None:
        """Count one less."""
        self.counts[name] -= 1
        if not self.counts[name]:
            del self.counts[name]


def start_conversion(hub: Hub, viewer: Viewer, wanted: Conversion) -> str:
    """Submit the job of a conversion; return its id. Raises `HubError`."""
    try:
        image = check_image(wanted.image)
        if wanted.platform:
            parse_platform(wanted.platform)
        secrets = {name: getattr(wanted, name) for name in CREDENTIALS if getattr(wanted, name)}
        read_credentials(**{name: secrets.get(name, "") for name in CREDENTIALS})
    except (UsageError, FlistError) as error:
        raise InvalidError(error.message, hint=error.hint) from error
    repository, name = wanted.repository or viewer.name, wanted.name or default_name(wanted.image)
    if not is_repo(repository) or not is_flist(name) or not name.endswith(".fl"):
        raise InvalidError("not the name of a flist", hint="a repository, and NAME.fl")
    hub.repositories.demand_write(viewer, repository)
    spec = {"image": image, "repository": repository, "name": name, "platform": wanted.platform}
    number: str = hub.jobs.submit(viewer, "convert", spec, secrets=secrets)
    return number


def default_name(image: str) -> str:
    """Return upstream's name for the flist of an image, without what no name here may have."""
    return re.sub(r"[^A-Za-z0-9._+-]", "-", flist_name(image))[-190:].lstrip("-._+")


def describe(job: Job) -> dict[str, Any]:
    """Return a job as clients see it."""
    return {**asdict(job), "is_final": job.is_final}


def describe_follow(follow: Follow, secret: str = "") -> dict[str, Any]:
    """Return a follow as clients see it; the secret is told once."""
    shown = asdict(follow)
    return {**shown, "hook": f"/api/v1/hooks/{follow.id}", "secret": secret} if secret else shown


def make_router(hub: Hub) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1")
    add_jobs(router, hub)
    add_follows(router, hub)
    return router


def add_jobs(router: APIRouter, hub: Hub) -> None:
    """Add the routes of jobs."""
    watchers = Watchers()

    @router.post("/convert", status_code=201)
    def convert(request: Request, wanted: Conversion) -> dict[str, str]:
        """Convert an OCI image into a flist."""
        return {"id": start_conversion(hub, demand(request, PUBLISH), wanted)}

    @router.get("/jobs")
    def list_jobs(request: Request) -> dict[str, list[dict[str, Any]]]:
        """List one's newest jobs."""
        return {"jobs": [describe(job) for job in hub.jobs.list_all(demand(request, READ))]}

    @router.get("/jobs/{number}")
    def read_job(request: Request, number: str) -> dict[str, Any]:
        """Return a job."""
        return describe(hub.jobs.find(demand(request, READ), number))

    @router.delete("/jobs/{number}", status_code=202)
    def cancel_job(request: Request, number: str) -> dict[str, str]:
        """Cancel a job."""
        hub.jobs.cancel(demand(request, PUBLISH), number)
        return {"message": "cancelled"}

    @router.get("/jobs/{number}/events", response_class=StreamingResponse)
    async def watch_job(request: Request, number: str) -> StreamingResponse:
        """Return the events of a job, those that were and those to come, until it ends."""
        viewer = await to_thread.run_sync(demand, request, READ)
        await to_thread.run_sync(hub.jobs.find, viewer, number)
        after = parse_number(request.headers.get("last-event-id", ""))
        watchers.check(viewer.name)
        stream = watch(hub, viewer, number, after, watchers)
        return StreamingResponse(stream, media_type="text/event-stream", headers=STREAM)


async def watch(
    hub: Hub, viewer: Viewer, number: str, after: int, watchers: Watchers
) -> AsyncIterator[str]:
    """Yield the events of a job until it has ended, or for an hour."""
    loop = asyncio.get_running_loop()
    watchers.enter(viewer.name)  # here: a response that is never begun would not leave
    try:
        deadline = loop.time() + WATCH_S
        spoken = loop.time()
        while loop.time() < deadline:
            job = await to_thread.run_sync(hub.jobs.find, viewer, number)
            events = await to_thread.run_sync(hub.jobs.events, viewer, number, after)
            for row, event in events:
                yield f"id: {row}\ndata: {json.dumps(event)}\n\n"
                after, spoken = row, loop.time()
            if job.is_final or hub.jobs.is_stopping:
                return
            if loop.time() - spoken > COMMENT_EVERY_S:
                spoken = loop.time()
                yield ": still there\n\n"
            await asyncio.sleep(POLL_S)
    finally:
        watchers.leave(viewer.name)


def parse_number(text: str) -> int:
    """Return the number of an event or a row, 0 for what is none."""
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    return min(int(text), NUMBER_MAX) if is_number else 0


def add_follows(router: APIRouter, hub: Hub) -> None:
    """Add the routes of what follows an image."""
    follows = Follows(hub)

    @router.get("/follows/{repo}")
    def list_follows(request: Request, repo: str) -> dict[str, list[dict[str, Any]]]:
        """List what follows an image in a repository."""
        found = follows.list_of(demand(request, PUBLISH), repo)
        return {"follows": [describe_follow(follow) for follow in found]}

    @router.put("/follows/{repo}/{name}")
    def put_follow(request: Request, repo: str, name: str, wanted: Following) -> dict[str, Any]:
        """Let a flist follow an image. A webhook's secret is in the answer, this once."""
        follow, secret = follows.put(
            demand(request, PUBLISH),
            repo,
            name,
            wanted.image,
            interval_s=wanted.interval_s,
            has_hook=wanted.has_hook,
        )
        return describe_follow(follow, secret)

    @router.delete("/follows/{repo}/{name}", status_code=204)
    def remove_follow(request: Request, repo: str, name: str) -> Response:
        """Let a flist follow its image no longer."""
        follows.remove(demand(request, PUBLISH), repo, name)
        return Response(status_code=204)

    @router.post("/hooks/{number}", status_code=202)
    async def call_hook(request: Request, number: str, secret: str = "") -> dict[str, str]:
        """Check an image now."""
        _, _, sent = request.headers.get("authorization", "").partition(" ")
        await read_body(request, HOOK_MAX_BYTES, is_guest=True)  # what it says is not believed
        wanted = parse_number(number), sent.strip() or secret
        return {"id": await to_thread.run_sync(follows.call_hook, *wanted)}
