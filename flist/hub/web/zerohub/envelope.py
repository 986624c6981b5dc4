"""The form of 0-hub's JSON: {"status": "success", "payload"} or {"status": "error", "message"}."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from common.errors import ZosError
from serving.problems import describe_http, describe_invalid, describe_zos

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


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
