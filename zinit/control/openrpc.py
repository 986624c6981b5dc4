"""The OpenRPC document that `rpc.discover` returns."""

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from zinit.control.commands import Command

TYPES = {"content": "object", "subscription": "integer"}  # all other parameters are strings


def describe_methods(commands: "Iterable[Command]") -> str:
    """Return the document as JSON text."""
    methods = [
        {
            "name": command.method,
            "description": command.description,
            "params": [describe_parameter(word) for word in command.parameters],
            "result": {"name": "result", "schema": {}},
        }
        for command in commands
    ]
    info = {"title": "Zinit JSON-RPC API", "version": "1.0.0"}
    return json.dumps({"openrpc": "1.2.6", "info": info, "methods": methods})


def describe_parameter(word: str) -> "dict[str, object]":
    """Return the description of a parameter; `name?` is optional."""
    name = word.rstrip("?")
    schema = {"type": TYPES.get(name, "string")}
    return {"name": name, "required": not word.endswith("?"), "schema": schema}
