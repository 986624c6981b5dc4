"""Provisioning: the table of nodes, and the script that each node gets.

A node's id in an address is any of its names: its MAC address, its UUID, or serial:NUMBER. All but
the nodes' own address needs a token of the scope "nodes".
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from bootstrap_server.errors import ConflictError, InputError, NotThereError
from bootstrap_server.nodes.identity import Identity, parse_identity, parse_mac, parse_name
from bootstrap_server.nodes.report import take_serial
from bootstrap_server.nodes.sheet import NAMES, import_sheet, render_sheet
from bootstrap_server.nodes.table import Event, Node
from bootstrap_server.nodes.views import show_time
from bootstrap_server.options.model import Options
from bootstrap_server.options.parse import parse_mapping
from bootstrap_server.script.waiting import render_waiting
from bootstrap_server.web.log import FRESH, limit_reports
from bootstrap_server.web.shared import Server, Shared, make_router, send_text
from serving.bodies import read_body
from serving.tokens import Demand, Token

NODE_MAX_BYTES = 16 << 10
SHEET_MAX_BYTES = 8 << 20
CSV = "text/csv; charset=utf-8"
OBJECT = {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}
TEXT = {"content": {"text/csv": {"schema": {"type": "string"}}}, "required": True}

router = make_router()
api = APIRouter(prefix="/api/nodes")
By = Annotated[Token, Depends(Demand("nodes"))]


class Asking(BaseModel):
    """What a node says beside its MAC address; `turn` counts how often it has asked."""

    model_config = ConfigDict(extra="forbid")

    uuid: str = Field(default="", max_length=36)
    serial: str = Field(default="", max_length=200)
    turn: int = Field(default=0, ge=0, le=10**6)


@router.get("/provision/{mac}", response_class=Response, dependencies=[Depends(limit_reports)])
def give_script(
    request: Request, mac: str, asked: Annotated[Asking, Query()], server: Shared
) -> Response:
    """Return a node's script; one that waits asks again, from the list of waiting nodes.

    It is noted who asked, so there is no HEAD.
    """
    identity = parse_identity(parse_mac(mac), asked.uuid, take_serial(asked.serial))
    if not server.database.is_lasting and server.unknown_nodes is None:
        raise NotThereError("this server provisions no nodes: its operator gave it no database")
    code = "ZB51"
    try:
        options = server.nodes.provide(identity, server.unknown_nodes)
        if options is not None:
            server.check_options(options)
            return send_text(server.script(options))
    except (ConflictError, InputError, NotThereError) as error:
        code = "ZB52"
        request.app.state.kit.log.warning("cannot provision", node=str(identity), why=error.message)
    others = {kind: name for kind, name in identity.names.items() if kind != "mac"}
    url = server.settings.public_url
    return send_text(render_waiting(url, identity.mac, others, asked.turn, code))


@api.get("")
def list_nodes(server: Shared, _: By) -> JSONResponse:
    """List all nodes of the table, those that wait first."""
    shown = [show_node(node) for node in server.nodes.list_all()]
    return JSONResponse({"nodes": shown}, headers=FRESH)


@api.get("/export", response_class=Response)
def export_nodes(server: Shared, _: By) -> Response:
    """Return the nodes that have options as CSV."""
    return Response(render_sheet(server.nodes.list_all()), media_type=CSV, headers=FRESH)


@api.get("/unknown/history")
def show_unknown(server: Shared, _: By) -> JSONResponse:
    """Return which nodes got the default, the last first."""
    events = [show_event(event) for event in server.nodes.history(0)]
    return JSONResponse({"history": events}, headers=FRESH)


@api.post("/import", openapi_extra={"requestBody": TEXT})
async def import_nodes(request: Request, server: Shared, token: By) -> JSONResponse:
    """Put all nodes of a CSV file into the table, or none."""
    data = await read_body(request, SHEET_MAX_BYTES)
    check = server.check_options
    new, changed = await run_in_threadpool(import_sheet, server.nodes, data, check, token.name)
    return JSONResponse({"created": new, "changed": changed}, headers=FRESH)


@api.get("/{name}")
def get_node(name: str, server: Shared, _: By) -> JSONResponse:
    """Return a node with its history."""
    node = server.nodes.get(parse_name(name))
    events = [show_event(event) for event in server.nodes.history(node.id)]
    return JSONResponse({**show_node(node), "history": events}, headers=FRESH)


@api.put("/{name}", openapi_extra={"requestBody": OBJECT})
async def put_node(request: Request, name: str, server: Shared, token: By) -> JSONResponse:
    """Give a node options; the body may hold further names of it. 201 if it is new."""
    identity, options = parse_body(server, name, await read_body(request, NODE_MAX_BYTES))
    is_new = await run_in_threadpool(server.nodes.put, identity, options, token.name)
    node = await run_in_threadpool(server.nodes.get, identity)
    return JSONResponse(show_node(node), 201 if is_new else 200, headers=FRESH)


@api.delete("/{name}", status_code=204, response_class=Response)
def delete_node(name: str, server: Shared, token: By) -> Response:
    """Forget a node."""
    server.nodes.remove(parse_name(name), token.name)
    return Response(status_code=204)


@api.post("/{name}/claim", openapi_extra={"requestBody": OBJECT})
async def claim_node(request: Request, name: str, server: Shared, token: By) -> JSONResponse:
    """Give options to a node that waits; it boots by itself within a minute."""
    body = await read_body(request, NODE_MAX_BYTES)
    identity, options = parse_body(server, name, body)
    await run_in_threadpool(server.nodes.claim, identity, options, token.name)
    node = await run_in_threadpool(server.nodes.get, identity)
    return JSONResponse(show_node(node), headers=FRESH)


router.include_router(api)


def parse_body(server: Server, name: str, body: bytes) -> tuple[Identity, Options]:
    """Return the node that an address and a body name, and its options. Raises `InputError`."""
    try:
        said = from_json(body)
    except ValueError as error:
        raise InputError("body", "the body is not JSON") from error
    if not isinstance(said, dict):
        raise InputError("body", "the body is no JSON object")
    options = parse_mapping({key: value for key, value in said.items() if key not in NAMES})
    server.check_options(options)
    return join_names(parse_name(name), said), options


def join_names(identity: Identity, said: Mapping[str, Any]) -> Identity:
    """Return the names of an address and a body together. Raises `InputError`."""
    texts = {key: said[key] for key in NAMES if said.get(key) is not None}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise InputError(key, f"{key} is a text")
    more = parse_identity(**texts)
    for key, text in more.names.items():
        if identity.names.get(key, text) != text:
            raise InputError(key, f"the address names another {key}")
    return Identity(**(more.names | identity.names))


def show_node(node: Node) -> dict[str, Any]:
    """Return a row as JSON: it waits, is claimed, or can't be read."""
    state = "unreadable" if node.fault else "waiting" if node.is_waiting else "claimed"
    return {
        "state": state,
        **({"fault": node.fault} if node.fault else {}),
        **node.identity.names,
        "options": node.options.as_mapping() if node.options else None,
        "identity": node.options.identity if node.options else None,
        "created": show_time(node.created_s),
        "asked": None if node.asked_s is None else show_time(node.asked_s),
    }


def show_event(event: Event) -> dict[str, Any]:
    """Return a line of the history as JSON."""
    return {
        "at": show_time(event.at_s),
        "event": event.event,
        "who": event.who,
        "names": event.names,
        "options": event.options,
    }
