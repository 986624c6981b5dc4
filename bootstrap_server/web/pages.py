"""The pages, their style sheet and their script."""

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from bootstrap_server.channels.bootable import KINDS as OF_RELEASES
from bootstrap_server.channels.images import describe_images
from bootstrap_server.channels.sources import find_channels
from bootstrap_server.images.kinds import Kind
from bootstrap_server.nodes.views import show_machine
from bootstrap_server.options.model import Options, parse_farm
from bootstrap_server.pages import PAGES
from bootstrap_server.pages.expert import show_addresses, show_expert
from bootstrap_server.pages.farm import choose_farm, show_farm
from bootstrap_server.pages.farmer import show_form
from bootstrap_server.pages.form import reason_of
from bootstrap_server.pages.help import show_code, show_codes
from bootstrap_server.pages.releases import show_releases
from bootstrap_server.web.boot import make
from bootstrap_server.web.shared import NEVER_CHANGES, Server, Shared, answer, make_router
from common.errors import ZosError
from serving.content import Pieces
from serving.pages import DIGEST_CHARS
from serving.respond import send_content

MEDIA_TYPES = {"style.css": "text/css", "page.js": "text/javascript"}
router = make_router()


@answer(router, "/")
def form(request: Request, server: Shared) -> HTMLResponse:
    """Show the farmer's form, and the image for what was typed into it."""
    return show_form(
        request.query_params.multi_items(),
        server.settings,
        find_channels(server.source),
        server.check_options,
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
        server.check_options,
        server.script,
    )


@answer(router, "/generate")
def addresses(request: Request, server: Shared) -> HTMLResponse:
    """Show the address of every kind of image."""
    return show_addresses(
        request.query_params.multi_items(),
        server.settings,
        find_channels(server.source),
        server.check_options,
    )


@answer(router, "/farms")
def choose(server: Shared, farm: str | None = None) -> HTMLResponse:
    """Ask for a farm's number, and show the nodes of the farm that was typed."""
    error = reason_of(lambda: parse_farm(farm.strip())) if farm is not None else ""
    if farm is None or error:
        return choose_farm(server.settings.root_path, farm or "", error)
    return nodes(farm.strip(), server)


@answer(router, "/farms/{farm}")
def nodes(farm: str, server: Shared, every: str = "") -> HTMLResponse:
    """Show how far the nodes of a farm have got."""
    number = parse_farm(farm)
    machines = server.log.list_farm(number)
    shown = [show_machine(machine, is_full=False) for machine in machines]
    can_claim = server.database.is_lasting
    return show_farm(server.settings.root_path, number, shown, every, can_claim=can_claim)


@answer(router, "/images")
def releases(server: Shared) -> HTMLResponse:
    """Show which releases there are."""
    return show_releases(server.settings, describe_images(server.source, server.kernels))


@answer(router, "/help")
def codes(server: Shared, code: str = "") -> HTMLResponse:
    """Show what to do for every code that a node shows, or for the one that is asked for."""
    return show_codes(server.settings.root_path, code)


@answer(router, "/help/{code}")
def one_code(code: str, server: Shared) -> HTMLResponse:
    """Show what to do for one code."""
    return show_code(server.settings.root_path, code)


@answer(router, "/style.css")
@answer(router, "/style-{digest}.css")
async def style(request: Request, digest: str = "") -> Response:
    """Return the pages' style sheet."""
    return send_asset(request, "style.css", digest)


@answer(router, "/page.js")
@answer(router, "/page-{digest}.js")
async def script(request: Request, digest: str = "") -> Response:
    """Return the script that keeps pages current."""
    return send_asset(request, "page.js", digest)


def send_asset(request: Request, name: str, digest: str) -> Response:
    """Return a file of the pages, which may be kept only under the name that its content has.

    A server of another release may have made the page: then its version is asked for in vain.
    """
    whole = PAGES.digest(name)
    is_named = digest and whole.startswith(digest) and len(digest) >= DIGEST_CHARS
    caching = NEVER_CHANGES if is_named else "no-cache"
    headers = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
    content = Pieces([memoryview(PAGES.read(name).encode())], f'"{whole}"')
    return send_content(request, content, MEDIA_TYPES[name], headers)


def measure(server: Server, kind: Kind, options: Options) -> tuple[int | None, str]:
    """Return size and SHA-256 of an image, unless that would take long or it can't be made."""
    if not server.templates.is_loaded or kind.source in OF_RELEASES:
        return None, ""
    try:
        content = make(server, kind, options)
    except ZosError:  # whoever follows the link is told why
        return None, ""
    return content.size, server.digests.of(content)
