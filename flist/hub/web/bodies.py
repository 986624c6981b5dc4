"""JSON bodies of requests."""

from typing import TypeVar

from fastapi import HTTPException, Request
from pydantic import BaseModel, ValidationError

from serving.bodies import read_body
from serving.problems import describe_invalid

MAX_JSON_BYTES = 4 << 20
Model = TypeVar("Model", bound=BaseModel)


async def read_json(request: Request, limit: int, *, is_guest: bool = False) -> bytes:
    """Return a body that is said to be JSON; answers 415 for another type.

    A page of another site may send a form or a plain text unasked, but no JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "the body's Content-Type must be application/json")
    return await read_body(request, limit, is_guest=is_guest)


def parse_model(body: bytes, model: type[Model]) -> Model:
    """Return the model that `body` holds as JSON; answers 400 if it is no JSON, else 422."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        status = 400 if found[0]["type"] == "json_invalid" else 422
        raise HTTPException(status, describe_invalid(found).detail) from error
