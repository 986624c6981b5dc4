"""The HTTP interface: addresses to answers. What is typed into them is checked in `model`.

Every address answers GET and HEAD. What may block is a plain function, which runs in a thread.
"""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from bootstrap_server.errors import InputError
from bootstrap_server.failures import add_failures
from bootstrap_server.form import show_form
from bootstrap_server.images import TemplateHolder, personalise
from bootstrap_server.model import Boot
from bootstrap_server.releases import (
    find_channels,
    find_release,
    open_pinned_file,
    open_release_file,
)
from bootstrap_server.script import render_release, render_script
from bootstrap_server.settings import Settings
from serving.content import FileOpener
from serving.respond import send_content


async def check_address(request: Request) -> None:
    """Refuse what is not printable: a route's pattern would drop a newline at an address's end."""
    if not request.scope["path"].isprintable():
        raise InputError("address", "the address holds a character that can't be printed")


BINARY = "application/octet-stream"
NEVER_CHANGES = "public, max-age=31536000, immutable"

router = APIRouter(default_response_class=Response, dependencies=[Depends(check_address)])
Endpoint = TypeVar("Endpoint", bound=Callable[..., Response | Awaitable[Response]])


class Server:
    """What the requests to one application share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.templates = TemplateHolder()
        self.opener = FileOpener()

    def script(self, boot: Boot) -> str:
        """Return the script of `boot` with this server's own addresses."""
        return render_script(boot, self.settings.public_url, self.settings.hub_url)


def create_app(settings: Settings) -> FastAPI:
    """Return the application. The first request for an image loads the template."""
    # The interactive documentation would load scripts from elsewhere: /openapi.json must do.
    # A redirect would be made from the Host header, which anyone can send.
    app = FastAPI(
        title="Zero-OS bootstrap server", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.server = Server(settings)
    app.include_router(router)
    add_failures(app)
    return app


async def get_server(request: Request) -> Server:
    """Return what `create_app` made for the application that got `request`."""
    server: Server = request.app.state.server
    return server


Shared = Annotated[Server, Depends(get_server)]


def answer(path: str) -> Callable[[Endpoint], Endpoint]:
    """Register a function for GET and HEAD of `path`."""

    def register(endpoint: Endpoint) -> Endpoint:
        router.head(path, include_in_schema=False)(endpoint)
        return router.get(path)(endpoint)

    return register


@answer("/")
def form(request: Request, server: Shared) -> HTMLResponse:
    """Show the form, and the addresses for what was typed into it."""
    settings = server.settings
    return show_form(request.query_params, settings, find_channels(settings.releases))


@answer("/style.css")
def style() -> Response:
    """Return the pages' style sheet."""
    text = files("bootstrap_server").joinpath("pages", "style.css").read_text()
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@answer("/health")
def health(server: Shared) -> JSONResponse:
    """Tell that the server answers, which channels can boot a node, and if images are at hand."""
    channels = find_channels(server.settings.releases)
    ready = {"template": server.templates.is_loaded, "channels": channels}
    return JSONResponse({"status": "ok", **ready}, headers={"Cache-Control": "no-store"})


@answer("/ipxe/{run_mode}")
async def script_without_farm(run_mode: str, server: Shared) -> Response:
    """Return the iPXE script of a node that belongs to no farm."""
    return send_script(Boot.parse(run_mode), server)


@answer("/ipxe/{run_mode}/{farm}")
async def script_for_farm(run_mode: str, farm: str, server: Shared) -> Response:
    """Return a farm's iPXE script."""
    return send_script(Boot.parse(run_mode, farm), server)


@answer("/ipxe/{run_mode}/{farm}/{extra:path}")
async def script_with_extra(run_mode: str, farm: str, extra: str, server: Shared) -> Response:
    """Return a farm's iPXE script with more kernel parameters, parted by spaces; ___ is a slash."""
    return send_script(Boot.parse(run_mode, farm, extra), server)


@answer("/usb/{run_mode}/{farm}")
def image_for_farm(request: Request, run_mode: str, farm: str, server: Shared) -> Response:
    """Return a farm's disk image for a USB stick; BIOS and UEFI start from it."""
    return send_image(request, Boot.parse(run_mode, farm), server)


@answer("/usb/{run_mode}/{farm}/{extra:path}")
def image_with_extra(
    request: Request, run_mode: str, farm: str, extra: str, server: Shared
) -> Response:
    """Return a farm's disk image with more kernel parameters."""
    return send_image(request, Boot.parse(run_mode, farm, extra), server)


@answer("/kernel/{run_mode}/release.ipxe")
def release_script(run_mode: str, server: Shared) -> Response:
    """Return the script that says which release a run mode boots at this moment."""
    release = find_release(server.settings.releases, run_mode, server.opener)
    return send_text(render_release(*release))


@answer("/kernel/{run_mode}/{release}/{name}")
def pinned_file(
    request: Request, run_mode: str, release: str, name: str, server: Shared
) -> Response:
    """Return vmlinuz or initramfs.zst of exactly this release, for as long as it is booted."""
    content = open_pinned_file(server.settings.releases, run_mode, release, name, server.opener)
    return send_content(request, content, BINARY, {"Cache-Control": NEVER_CHANGES})


@answer("/kernel/{run_mode}/{name}")
def release_file(request: Request, run_mode: str, name: str, server: Shared) -> Response:
    """Return a file of the release that a run mode boots: vmlinuz, initramfs.zst, manifest.json."""
    content = open_release_file(server.settings.releases, run_mode, name, server.opener)
    return send_content(request, content, BINARY, {})


def send_script(boot: Boot, server: Server) -> Response:
    """Return a boot's script."""
    return send_text(server.script(boot))


def send_text(text: str) -> Response:
    """Return a text that may be another next time."""
    return PlainTextResponse(text, headers={"Cache-Control": "no-cache"})


def send_image(request: Request, boot: Boot, server: Server) -> Response:
    """Return an image as a file with a name that tells whose it is."""
    image = personalise(server.templates.get(), server.script(boot))
    disposition = f'attachment; filename="{boot.file_name}"'
    headers = {"Content-Disposition": disposition}
    return send_content(request, image, BINARY, headers)
