"""The form of 0-hub's JSON: {"status": "success", "payload"} or {"status": "error", "message"}."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from common.errors import ZosError
from serving.openapi import describe_problems
from serving.problems import describe_http, describe_invalid, describe_zos

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
SCHEMA = {
    "type": "object",
    "required": ["status", "message"],
    "properties": {"status": {"const": "error"}, "message": {"type": "string"}},
}


def describe_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the description of the API says of these statuses.

    What looks like an address of 0-hub may be none, and is answered as all others.
    """
    said = describe_problems(*statuses)
    for row in said.values():
        row["content"] = {**row["content"], "application/json": {"schema": SCHEMA}}
    return said


READING = describe_errors(400, 401, 403, 404, 422, 429, 503)
CHANGING = describe_errors(400, 401, 403, 404, 405, 409, 411, 413, 415, 422, 429, 503, 507)
IN_PARTS: dict[int | str, dict[str, Any]] = {
    206: {"description": "A part of a file, by Range"},
    304: {"description": "The file has not changed, by If-None-Match"},
    **describe_errors(416),
}


def success(payload: object = None) -> Response:
    """Return the answer to what was done."""
    said: dict[str, object] = {"status": "success"}
    return JSONResponse(said if payload is None else {**said, "payload": payload})


def failure(status: int, message: str) -> Response:
    """Return the answer to what could not be done."""
    return JSONResponse({"status": "error", "message": message}, status)


class EnvelopeRoute(APIRoute):
    """A route whose errors have 0-hub's form: its clients show `message`."""

    def get_route_handler(self) -> Handler:
        """Return the handler with its errors caught."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except HTTPException as error:
                problem = describe_http(request, error)
            except ZosError as error:
                problem = describe_zos(error)
            except RequestValidationError as error:
                problem = describe_invalid(error.errors())
            reply = failure(problem.status, problem.detail)
            # Upstream's refusals carry no challenge, and browsers would ask for a password.
            kept = {k: v for k, v in problem.headers.items() if k != "WWW-Authenticate"}
            reply.headers.update(kept)
            return reply

        return answer


class PublicRoute(EnvelopeRoute):
    """A route that scripts of other sites may read: what it says needs no cookie."""

    def get_route_handler(self) -> Handler:
        """Return the handler; its answers may be read by all."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            reply = await handle(request)
            if "authorization" not in request.headers:
                reply.headers["Access-Control-Allow-Origin"] = "*"
            return reply

        return answer
