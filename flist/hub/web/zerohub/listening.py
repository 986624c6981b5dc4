"""What became of an upload, told as events: GET /listen/JOB.

The upload was done before its answer, so all events are there; they can be heard once. They are in
the database, for any server of the hub. The events of other jobs are at /api/v1/jobs/JOB/events.
"""

import json
import time
import uuid
from collections.abc import Sequence
from urllib.parse import quote

from fastapi import APIRouter, Request
from sqlalchemy import delete, insert, select
from starlette.responses import RedirectResponse, Response

from flist.hub.errors import AbsentError
from flist.hub.library.hub import Hub
from flist.hub.state.tables import EVENTS, JOBS
from flist.hub.state.viewer import READ, Viewer
from flist.hub.web.viewers import viewer
from flist.hub.web.zerohub.building import Built
from flist.hub.web.zerohub.envelope import READING, EnvelopeRoute
from serving.database import Database

KIND = "upload"
KEPT_S = 3600.0
EVENT_STREAM = "text/event-stream"


class Reports:
    """The events of uploads that nobody has heard yet."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def keep(self, viewer: Viewer, built: Built) -> str:
        """Keep what became of an upload, and forget old ones; return the name of the job."""
        job, now_s = str(uuid.uuid4()), time.time()
        info = {"filename": built.name, "flist": built.response}
        events = (
            {"status": "update", "message": "Image ready !", "progress": 100},
            {"status": "info", "info": info},
        )
        row = {
            "id": job,
            "account_id": viewer.account_id,
            "kind": KIND,
            "spec": "{}",
            "state": "done",
            "progress": 100.0,
            "message": "done",
            "result": json.dumps(info),
            "created_s": now_s,
            "updated_s": now_s,
        }
        rows = [{"job": job, "at_s": now_s, "event": json.dumps(event)} for event in events]
        old = (JOBS.c.kind == KIND) & (JOBS.c.created_s < now_s - KEPT_S)
        with self.database.writing() as connection:
            connection.execute(delete(JOBS).where(old))
            connection.execute(insert(JOBS).values(row))
            connection.execute(insert(EVENTS), rows)
        return job

    def take(self, asking: Viewer, job: str) -> Sequence[str]:
        """Return the events of one's upload, and forget them. Raises `AbsentError`."""
        mine = {"id": job[:36], "account_id": asking.account_id, "kind": KIND}
        with self.database.writing() as connection:
            told = select(EVENTS.c.event).where(EVENTS.c.job == job[:36]).order_by(EVENTS.c.id)
            events = list(connection.execute(told).scalars())
            if not connection.execute(delete(JOBS).filter_by(**mine)).rowcount:
                raise AbsentError("job id not found")
        return events


def make_router(hub: Hub) -> APIRouter:
    """Return the route."""
    router = APIRouter(route_class=EnvelopeRoute, responses=READING)
    reports = Reports(hub.database)

    @router.get("/listen/{job}", response_class=Response)
    def listen(request: Request, job: str) -> Response:
        """Return the events of an upload, or lead to those of a conversion."""
        asking = viewer(request)
        try:
            events = reports.take(asking, job)
        except AbsentError:
            if not has_job(hub, asking, job):
                raise
            return RedirectResponse(f"/api/v1/jobs/{quote(job, safe='')}/events", 307)
        text = "".join(f"data: {event}\n\n" for event in events)
        return Response(text, media_type=EVENT_STREAM, headers={"Cache-Control": "no-store"})

    return router


def has_job(hub: Hub, asking: Viewer, job: str) -> bool:
    """Return whether the viewer has such a job, and may follow it."""
    if READ not in asking.scopes:
        return False
    try:
        return hub.jobs is not None and hub.jobs.find(asking, job).kind != KIND
    except AbsentError:
        return False
