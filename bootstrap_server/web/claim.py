"""The page on which a farmer claims nodes that wait."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from bootstrap_server.channels.sources import find_channels
from bootstrap_server.errors import ConflictError, InputError, NotThereError
from bootstrap_server.nodes.identity import parse_name
from bootstrap_server.options.model import parse_farm
from bootstrap_server.pages.claim import show_claim
from bootstrap_server.pages.farmer import say_run_modes
from bootstrap_server.pages.form import default_run_mode, read_form
from bootstrap_server.web.shared import Server, Shared, answer, make_router
from common.errors import ZosError
from serving.bodies import read_body

FORM_MAX_BYTES = 8192
FIELDS_MAX = 16
FORM_BODY = {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}

router = make_router()


@answer(router, "/farms/{farm}/claim")
def ask_claim(farm: str, server: Shared) -> HTMLResponse:
    """Ask for the token that lets a farmer claim nodes."""
    check_state(server)
    return claim_page(server, parse_farm(farm), {}, {})


@router.post("/farms/{farm}/claim", openapi_extra={"requestBody": FORM_BODY})
async def claim(request: Request, farm: str, server: Shared) -> HTMLResponse:
    """Show the nodes that wait to the bearer of a token, and claim the one that was chosen."""
    check_state(server)
    number = parse_farm(farm)
    typed = read_pairs(await read_body(request, FORM_MAX_BYTES))
    return await run_in_threadpool(take_claim, server, number, typed)


def take_claim(server: Server, farm: int, typed: dict[str, str]) -> HTMLResponse:
    """Answer a form: with the error of a field, with the nodes that wait, or with what was done."""
    try:
        token = server.tokens.check(typed.get("token", "").strip(), "nodes")
    except ZosError as error:
        return claim_page(server, farm, {**typed, "token": ""}, {"token": error.message})
    name = typed.get("node", "")
    if not name:
        return claim_page(server, farm, typed, {}, with_nodes=True)
    pairs = [("farm", str(farm)), *((key, typed.get(key, "")) for key in ("runmode", "extra"))]
    read = read_form(pairs, "prod", server.check_options, needs_farm=True)
    errors = dict(read.errors)
    if read.options is not None:
        try:
            server.nodes.claim(parse_name(name), read.options, token.name)
        except (ConflictError, InputError, NotThereError) as error:
            errors["node"] = error.message
    return claim_page(server, farm, typed, errors, with_nodes=True, claimed="" if errors else name)


def claim_page(
    server: Server,
    farm: int,
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    with_nodes: bool = False,
    claimed: str = "",
) -> HTMLResponse:
    """Return the page on which nodes are claimed."""
    channels = find_channels(server.source)
    nodes = server.nodes.list_all() if with_nodes else []
    return show_claim(
        server.settings.root_path,
        farm,
        {"runmode": default_run_mode(channels), **typed},
        errors=errors,
        run_modes=say_run_modes(channels),
        nodes=[node for node in nodes if node.is_waiting] if with_nodes else None,
        claimed=claimed,
    )


def read_pairs(body: bytes) -> dict[str, str]:
    """Return the fields of a form. Raises `InputError`."""
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=FIELDS_MAX))
    except ValueError as error:
        raise InputError("body", "the body is not a form of this page") from error


def check_state(server: Server) -> None:
    """Raise `NotThereError` if this server forgets its nodes when it ends."""
    if not server.database.is_lasting:
        raise NotThereError("this server provisions no nodes: its operator gave it no database")
