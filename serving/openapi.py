"""What an OpenAPI description says of every address: besides its own answers, the problems."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI

from serving.problems import MEDIA_TYPE

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
SCHEMA = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong"},
        "hint": {"type": "string", "description": "what to do"},
        "field": {"type": "string", "description": "the name of the wrong input"},
    },
}
READING = (404, 422, 429, 503)
WRITING = (400, 404, 409, 411, 413, 415, 422, 429, 503, 507)


def reading(router: APIRouter, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
    """Register a function for GET and HEAD of `path`, which are described once."""

    def register(endpoint: Endpoint) -> Endpoint:
        router.head(path, **{**options, "include_in_schema": False})(endpoint)
        return router.get(path, **options)(endpoint)

    return register


def describe_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a description says of these statuses; browsers may get a page instead."""
    content = {MEDIA_TYPE: {"schema": SCHEMA}, "text/html": {}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


IN_PARTS: dict[int | str, dict[str, Any]] = {
    206: {"description": "A part of a file, by Range"},
    304: {"description": "The file has not changed, by If-None-Match"},
    **describe_problems(416),
}
"""What `serving.respond.send_content` can answer beside 200."""


def describe(app: FastAPI) -> None:
    """Let the description of `app` say of each address which problems it can answer.

    FastAPI would say that wrong input is answered in a form of its own.
    """
    describe_routes = app.openapi

    def describe_all() -> dict[str, Any]:
        if app.openapi_schema is None:
            for operations in describe_routes()["paths"].values():
                for method, operation in operations.items():
                    add_problems(method, operation)
        return app.openapi_schema or {}

    app.openapi = describe_all  # type: ignore[method-assign]


def add_problems(method: str, operation: dict[str, Any]) -> None:
    """Add the problems of reading or writing to what an operation says of its answers."""
    statuses = READING if method in ("get", "head") else WRITING
    if "security" in operation:
        statuses = (*statuses, 401, 403)
    described = operation["responses"].items()
    own = {status: said for status, said in described if not is_automatic(status, said)}
    problems = {str(status): said for status, said in describe_problems(*statuses).items()}
    operation["responses"] = {**problems, **own}


def is_automatic(status: str, said: dict[str, Any]) -> bool:
    """Return whether this is FastAPI's own form of what is said of wrong input."""
    return status == "422" and MEDIA_TYPE not in said.get("content", {})
