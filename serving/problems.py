"""Errors as problem+json (RFC 9457), and as a page for browsers where the server has one.

An error of the project's family (`ZosError`) may carry `http_status` (default 503: the fault is
this machine's, not the client's), `http_headers`, `field`, the name of the wrong input, and
`http_members`, what else the client is told.
"""

import dataclasses
import errno
import os
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from common.errors import ZosError

MEDIA_TYPE = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One error as a client sees it. `field` names the input that is wrong."""

    status: int
    detail: str
    hint: str | None = None
    field: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    more: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the status' own phrase."""
        return HTTPStatus(self.status).phrase


Page = Callable[[Request, Problem], Response]


def install_problems(app: FastAPI, page: Page | None = None) -> None:
    """Make `app` answer its errors as problems; `page` renders them for browsers."""

    def answer(request: Request, problem: Problem) -> Response:
        if page and "text/html" in request.headers.get("accept", ""):
            return page(request, problem)
        return render(problem)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(request, describe_http(request, error))

    async def on_zos(request: Request, error: Exception) -> Response:
        assert isinstance(error, ZosError)
        problem = describe_zos(error)
        if problem.status >= 500:
            log_once(request, f"error {error.message}", error.__cause__ or error, problem.status)
        return answer(request, problem)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, describe_invalid(error.errors()))

    async def on_refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, OSError)
        problem = describe_refusal(error)
        log_once(request, f"system error {error.errno}", error, problem.status)
        return answer(request, problem)

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ZosError, on_zos)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(OSError, on_refusal)


def log_once(request: Request, kind: str, error: BaseException, status: int) -> None:
    """Log an error of this machine, with what the client does not see; each kind now and then."""
    kit = request.app.state.kit
    held = kit.throttle.take(kind)
    if held is not None:
        kit.log.error("system error", error=str(error), status=status, repeated=held)


def render(problem: Problem) -> Response:
    """Return the JSON response; members without a value are left out."""
    said = {
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "hint": problem.hint,
        "field": problem.field,
        **problem.more,
    }
    return JSONResponse(
        {key: value for key, value in said.items() if value is not None},
        status_code=problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


def describe_http(request: Request, error: HTTPException) -> Problem:
    """Return the problem of an error that a route or the router raised."""
    headers = dict(error.headers or {})
    if error.status_code == 405:
        allowed = find_methods(request)
        headers["Allow"] = ", ".join(allowed)
        read_only = "this address can only be read (GET or HEAD)"
        text = "this address does not take the method; it takes " + ", ".join(allowed)
        detail = read_only if allowed == ["GET", "HEAD"] else text
        return Problem(405, detail, headers=headers)
    if error.status_code == 404 and error.detail == HTTPStatus.NOT_FOUND.phrase:
        place = request.app.openapi_url
        hint = f"{place} lists all addresses" if place else None
        return Problem(404, "nothing is at this address", hint, headers=headers)
    return Problem(error.status_code, str(error.detail), headers=headers)


def find_methods(request: Request) -> list[str]:
    """Return the methods that some route takes for the request's path."""
    return [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def describe_zos(error: ZosError) -> Problem:
    """Return the problem of an error of the project's family."""
    return Problem(
        getattr(error, "http_status", 503),
        error.message,
        error.hint,
        getattr(error, "field", None),
        dict(getattr(error, "http_headers", {})),
        dict(getattr(error, "http_members", {})),
    )


def describe_invalid(errors: Any) -> Problem:
    """Return the problem of a request that does not have the form that the route declares."""
    found = [(".".join(map(str, row["loc"])), row["msg"]) for row in errors]
    detail = "; ".join(f"{place}: {text}" if place else text for place, text in found[:5])
    return Problem(422, detail, field=found[0][0] or None if found else None)


def describe_refusal(error: OSError) -> Problem:
    """Return the problem of something that the system refused, without a path of this machine."""
    if error.errno in DISK_FULL:
        return Problem(507, os.strerror(error.errno))
    if error.errno in OUT_OF_FILES:
        return Problem(503, "too many files are open", headers={"Retry-After": "1"})
    return Problem(500, os.strerror(error.errno) if error.errno else "a system error")
