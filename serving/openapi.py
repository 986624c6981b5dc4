"""What an OpenAPI description says of every address: besides its own answers, the problems."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from serving.problems import MEDIA_TYPE

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
WRITING = (400, 401, 403, 404, 409, 411, 413, 415, 422, 429, 503, 507)


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


class DescribedRouter(APIRouter):
    """A router that adds the problems of reading or writing to what a route says of its answers."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        """Add a route."""
        is_read = set(more.get("methods") or ["GET"]) <= {"GET", "HEAD"}
        told = describe_problems(*(READING if is_read else WRITING))
        more["responses"] = {**told, **(more.get("responses") or {})}
        super().add_api_route(path, endpoint, **more)
