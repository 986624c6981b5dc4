"""The description of the API in OpenAPI 3.1, made from the table of calls."""

from typing import Any

from core.api.routes import JSON, LINES, REQUIRED, ROUTES, TOP, Parameter, Route

TYPES = {str: "string", int: "integer", bool: "boolean"}
PROBLEM = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": ["string", "null"]},
    },
    "required": ["status", "detail"],
}


def describe() -> dict[str, Any]:
    """Return the description."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(f"{TOP}{route.path}", {})[route.method.lower()] = describe_route(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "A node of Zero-OS", "version": "1"},
        "security": [{"farm": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "farm": {
                    "type": "mutualTLS",
                    "description": "a certificate by the farm's key, with a role",
                }
            },
            "schemas": {"Problem": PROBLEM},
        },
    }


def describe_route(route: Route) -> dict[str, Any]:
    """Return the description of a call."""
    schema = {JSON: {}, LINES: {"type": "object"}}.get(route.kind, {"type": "string"})
    problem = {"$ref": "#/components/schemas/Problem"}
    found: dict[str, Any] = {
        "operationId": route.function.__name__,
        "summary": route.summary,
        "description": f"Role: {route.role.word}. Asks: {route.asks}.",
        "x-role": route.role.word,
        "responses": {
            "200": {"description": "Done", "content": {route.kind: {"schema": schema}}},
            "default": {
                "description": "Not done",
                "content": {"application/problem+json": {"schema": problem}},
            },
        },
    }
    in_place = [one for one in route.parameters if place_of(one, route) != "body"]
    if in_place:
        found["parameters"] = [describe_parameter(one, place_of(one, route)) for one in in_place]
    in_body = [one for one in route.parameters if one not in in_place]
    if in_body:
        found["requestBody"] = describe_body(in_body)
    return found


def place_of(parameter: Parameter, route: Route) -> str:
    """Return where a parameter is: path, query or body."""
    if f"{{{parameter.name}}}" in route.path:
        return "path"
    return "body" if route.method == "POST" else "query"


def schema_of(parameter: Parameter) -> dict[str, Any]:
    """Return the form of a parameter."""
    found: dict[str, Any] = {"type": TYPES[parameter.kind], "description": parameter.what}
    return found if parameter.default is REQUIRED else {**found, "default": parameter.default}


def describe_parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    """Return the description of a parameter in the path or the query."""
    is_needed = parameter.default is REQUIRED
    return {
        "name": parameter.name,
        "in": place,
        "required": is_needed,
        "schema": schema_of(parameter),
    }


def describe_body(parameters: list[Parameter]) -> dict[str, Any]:
    """Return the description of parameters in the body."""
    needed = [one.name for one in parameters if one.default is REQUIRED]
    schema = {
        "type": "object",
        "properties": {one.name: schema_of(one) for one in parameters},
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
    }
    return {"required": bool(needed), "content": {JSON: {"schema": schema}}}
