"""The pages, their style sheet and their script."""

from importlib.resources import files

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from bootstrap_server.channels.sources import find_channels
from bootstrap_server.images.kinds import Kind
from bootstrap_server.options.model import Options
from bootstrap_server.pages.expert import show_addresses, show_expert
from bootstrap_server.pages.farm import choose_farm
from bootstrap_server.pages.farmer import show_form
from bootstrap_server.pages.help import show_code, show_codes
from bootstrap_server.pages.releases import show_releases
from bootstrap_server.web.boot import make
from bootstrap_server.web.shared import Server, Shared, answer, make_router

HASHED_MAX_BYTES = 64 << 20  # what is larger has its checksum at an address of its own

router = make_router()


@answer(router, "/")
def form(request: Request, server: Shared) -> HTMLResponse:
    """Show the farmer's form, and the image for what was typed into it."""
    return show_form(
        request.query_params.multi_items(),
        server.settings,
        find_channels(server.source),
        server.check_allowed,
        lambda kind, options: measure(server, kind, options),
        request.headers.get("user-agent", ""),
    )


@answer(router, "/expert")
def expert(request: Request, server: Shared) -> HTMLResponse:
    """Show every option, and the script that comes of those that were chosen."""
    return show_expert(
        request.query_params.multi_items(),
        server.settings,
        find_channels(server.source),
        server.check_allowed,
        server.script,
    )


@answer(router, "/generate")
def addresses(request: Request, server: Shared) -> HTMLResponse:
    """Show the address of every kind of image."""
    return show_addresses(
        request.query_params.multi_items(),
        server.settings,
        find_channels(server.source),
        server.check_allowed,
    )


@answer(router, "/farms")
def choose(server: Shared, farm: str | None = None) -> HTMLResponse:
    """Ask for a farm's number, or show its nodes."""
    return choose_farm(server.settings.root_path, farm)


@answer(router, "/images")
def releases(server: Shared) -> HTMLResponse:
    """Show which releases there are."""
    return show_releases(server.settings, find_channels(server.source))


@answer(router, "/help")
def codes(server: Shared, code: str = "") -> HTMLResponse:
    """Show what to do for every code that a node shows, or for the one that is asked for."""
    return show_codes(server.settings.root_path, code)


@answer(router, "/help/{code}")
def one_code(code: str, server: Shared) -> HTMLResponse:
    """Show what to do for one code."""
    return show_code(server.settings.root_path, code)


@answer(router, "/style.css")
def style() -> Response:
    """Return the pages' style sheet."""
    return send_own("style.css", "text/css")


@answer(router, "/page.js")
def script() -> Response:
    """Return the script that keeps pages current."""
    return send_own("page.js", "text/javascript")


def send_own(name: str, media_type: str) -> Response:
    """Return a file of the pages."""
    text = files("bootstrap_server").joinpath("pages", "templates", name).read_text()
    headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(text, media_type=media_type, headers=headers)


def measure(server: Server, kind: Kind, options: Options) -> tuple[int | None, str]:
    """Return size and SHA-256 of an image, unless that would take long."""
    if not server.templates.is_loaded:
        return None, ""
    content = make(server, kind, options)
    try:
        is_small = content.size <= HASHED_MAX_BYTES
        return content.size, server.digests.of(content) if is_small else ""
    finally:
        content.close()
