"""The page on which a farmer takes nodes that wait: they booted an image that belongs to nobody."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from starlette.responses import HTMLResponse

from bootstrap_server.nodes.identity import Identity
from bootstrap_server.nodes.table import Node
from bootstrap_server.pages import render_page
from bootstrap_server.pages.controls import CLAIM
from common.runmodes import RUN_MODES

TYPED_MAX_CHARS = 200
FIRSTS = {"runmode": f"runmode-{next(iter(RUN_MODES))}", "node": "node-1"}


def show_claim(
    root: str,
    farm: int,
    typed: Mapping[str, str],
    *,
    errors: Mapping[str, str],
    run_modes: Mapping[str, str],
    nodes: Sequence[Node] | None = None,
    claimed: str = "",
) -> HTMLResponse:
    """Return the page: it asks for a token; with one, it lists the `nodes` that wait."""
    page = render_page(
        "claim.html",
        422 if errors else 200,
        here="farms",
        root=root,
        farm=farm,
        typed={name: typed.get(name, "")[:TYPED_MAX_CHARS] for name in (*CLAIM, "node")},
        errors=errors,
        firsts=FIRSTS,
        fields=CLAIM,
        run_modes=run_modes,
        nodes=None if nodes is None else [describe(node) for node in nodes],
        claimed=claimed,
    )
    page.headers["Cache-Control"] = "no-store"  # the token is in it
    return page


def describe(node: Node) -> dict[str, str]:
    """Return what the page says of a node that waits."""
    asked = datetime.fromtimestamp(node.asked_s or node.created_s, UTC)
    return {
        "name": name_of(node.identity),
        "names": str(node.identity),
        "asked": f"{asked:%d %B %Y, %H:%M} UTC",
    }


def name_of(identity: Identity) -> str:
    """Return one name of a node, as `parse_name` reads it."""
    return identity.mac or identity.uuid or f"serial:{identity.serial}"
