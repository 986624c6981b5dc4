"""JSON bodies of requests."""

from typing import TypeVar

from fastapi import HTTPException
from pydantic import BaseModel, ValidationError

from serving.problems import describe_invalid

MAX_JSON_BYTES = 4 << 20
Model = TypeVar("Model", bound=BaseModel)


def parse_model(body: bytes, model: type[Model]) -> Model:
    """Return the model that `body` holds as JSON; answers 422."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problem = describe_invalid(error.errors(include_url=False, include_input=False))
        raise HTTPException(422, problem.detail) from error
