"""The pages on which an image becomes a flist, and of the job that does it."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from flist.hub.errors import HubError
from flist.hub.jobs.model import DONE, FAILED, Job
from flist.hub.pages.finding import list_own
from flist.hub.state.viewer import PUBLISH, Viewer
from flist.hub.web.jobs import Conversion, start_conversion
from flist.hub.web.pages.forms import read_fields, take
from flist.hub.web.pages.shared import ROOT, Desk, ask_to_sign_in, go, show
from flist.hub.web.viewers import demand, viewer

HERE = "-/convert"
SHOWN_JOBS = 20
FIELDS = ("image", "repository", "name", "username", "password")
STYLES = {DONE: "good", FAILED: "bad"}


def make_router(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False, default_response_class=Response)
    pool = desk.hub.kit.pools.uploads

    @router.get(f"/{HERE}")
    def form(request: Request, repository: str = "") -> Response:
        """Show the form, and one's last conversions."""
        asking = viewer(request)
        if not asking.is_known:
            return ask_to_sign_in(request)
        return show_form(desk, request, {"repository": repository or asking.name}, {})

    @router.post(f"/{HERE}")
    async def convert(request: Request) -> Response:
        """Begin a conversion, and show its job."""
        response: Response = await pool.run(start, desk, request, await read_fields(request))
        return response

    @router.get("/-/jobs/{number}")
    def job(request: Request, number: str) -> Response:
        """Show how far a job is."""
        asking = viewer(request)
        if not asking.is_known:
            return ask_to_sign_in(request)
        return show(request, "job.html", here=HERE, **describe(desk.hub.jobs.find(asking, number)))

    @router.post("/-/jobs/{number}/cancel")
    def cancel(request: Request, number: str) -> Response:
        """Stop a job."""
        desk.hub.jobs.cancel(demand(request, PUBLISH), number)
        return go(f"{ROOT}-/jobs/{number}")

    return router


def start(desk: Desk, request: Request, fields: Mapping[str, list[str]]) -> Response:
    """Begin the conversion of a form; show the form again with what is wrong."""
    asking = demand(request, PUBLISH)
    typed = {name: take(fields, name) for name in FIELDS}
    try:
        number = start_conversion(desk.hub, asking, Conversion(**typed))
    except ValidationError as error:
        errors = {str(row["loc"][0]): "name an image" for row in error.errors()}
        return show_form(desk, request, typed, errors, 422)
    except HubError as error:
        said = {"": error.message + (f" ({error.hint})" if error.hint else "")}
        return show_form(desk, request, typed, said, error.http_status)
    return go(f"{ROOT}-/jobs/{number}")


def show_form(
    desk: Desk,
    request: Request,
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    status: int = 200,
) -> Response:
    """Return the form. A password is not repeated."""
    asking: Viewer = viewer(request)
    return show(
        request,
        "convert.html",
        status,
        here=HERE,
        typed={name: typed.get(name, "")[:500] for name in ("image", "repository", "name")},
        errors=errors,
        repositories=list_own(desk.hub.database, asking),
        jobs=[describe(job) for job in desk.hub.jobs.list_all(asking, SHOWN_JOBS)],
    )


def describe(job: Job) -> dict[str, Any]:
    """Return what a page says of a job."""
    place = f"{job.spec.get('repository', '')}/{job.spec.get('name', '')}"
    return {
        "job": job,
        "title": f"{job.spec.get('image') or job.kind} → {place}",
        "style": STYLES.get(job.state, ""),
        "result_at": f"{place}.md" if job.state == DONE and job.result.get("digest") else "",
    }
