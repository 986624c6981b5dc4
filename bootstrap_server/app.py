"""The HTTP interface: addresses to responses. What a user typed into them is checked in `model`.

Every address takes GET and HEAD. An endpoint that may block is a plain function, which runs in a
thread.
"""

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from bootstrap_server.errors import InputError
from bootstrap_server.failures import show_failure
from bootstrap_server.form import show_form
from bootstrap_server.images import TemplateHolder, personalise
from bootstrap_server.model import Boot, refuse_kernel
from bootstrap_server.script import render_release, render_script
from bootstrap_server.settings import Settings
from bootstrap_server.sources import FolderSource, Source, StoreSource, find_channels
from serving import kit
from serving.content import FileOpener
from serving.pools import Pool
from serving.respond import send_content
from serving.settings import ServerSettings


async def check_address(request: Request) -> None:
    """Refuse a path that is not printable: a route's pattern would drop a newline at its end."""
    if not request.scope["path"].isprintable():
        raise InputError("address", "the address holds a character that can't be printed")


BINARY = "application/octet-stream"
NEVER_CHANGES = "public, max-age=31536000, immutable"

router = APIRouter(default_response_class=Response, dependencies=[Depends(check_address)])
Endpoint = TypeVar("Endpoint", bound=Callable[..., Response | Awaitable[Response]])


class Server:
    """What the requests to one application share."""

    def __init__(self, settings: Settings, hashing: Pool) -> None:
        self.settings = settings
        self.templates = TemplateHolder()
        self.source = open_source(settings, FileOpener())
        self.hashing = hashing

    def check_template(self) -> str | None:
        """Return why no image can be made yet, or None."""
        return None if self.templates.is_loaded else "the template image is not loaded"

    def describe(self) -> dict[str, object]:
        """Return what /ready tells: whether images can be made, and which channels can boot."""
        found = find_channels(self.source)
        channels = {mode: release is not None for mode, release in found.items()}
        return {"template": self.templates.is_loaded, "channels": channels}

    def checksum(self, boot: Boot) -> str:
        """Return the SHA-256 of the image of `boot`; empty while no image can be made."""
        if not self.templates.is_loaded:
            return ""
        image = personalise(self.templates.get(), self.script(boot))
        return hashlib.sha256(b"".join(image.parts)).hexdigest()

    def parse(self, request: Request, run_mode: str, farm: str, extra: str) -> Boot:
        """Return what the parts of an address ask for. Raises `NotThereError` or `InputError`."""
        refuse_kernel(request.scope.get("raw_path") or b"")
        boot = Boot.parse(run_mode, farm, extra)
        boot.check_allowed(self.settings.parameters)
        return boot

    def script(self, boot: Boot) -> str:
        """Return the script of `boot` with this server's own addresses."""
        return render_script(boot, self.settings.public_url, self.settings.hub_url)


def open_source(settings: Settings, opener: FileOpener) -> Source:
    """Return where the releases of a server come from."""
    if settings.releases is not None:
        return FolderSource(settings.releases, opener)
    assert settings.store is not None
    return StoreSource(settings.store, settings.root, opener)


def create_app(settings: Settings, common: ServerSettings | None = None) -> FastAPI:
    """Return the application. The first request for an image loads the template."""
    # The interactive documentation would load scripts from other sites, and a redirect would be
    # built from the Host header, which a client chooses.
    app = FastAPI(
        title="Zero-OS bootstrap server", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    shared = kit.install(app, common or ServerSettings(), show_failure)
    server = app.state.server = Server(settings, shared.pools.hashing)
    shared.readiness.checks["template"] = server.check_template
    shared.readiness.facts = server.describe
    app.include_router(router)
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
    channels = find_channels(server.source)
    return show_form(request.query_params, server.settings, channels, server.checksum)


@answer("/style.css")
def style() -> Response:
    """Return the pages' style sheet."""
    text = files("bootstrap_server").joinpath("pages", "style.css").read_text()
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@answer("/ipxe/{run_mode}")
async def script_without_farm(run_mode: str, server: Shared) -> Response:
    """Return the iPXE script of a node that belongs to no farm."""
    return send_script(Boot.parse(run_mode), server)


@answer("/ipxe/{run_mode}/{farm}")
async def script_for_farm(run_mode: str, farm: str, server: Shared) -> Response:
    """Return a farm's iPXE script."""
    return send_script(Boot.parse(run_mode, farm), server)


@answer("/ipxe/{run_mode}/{farm}/{extra:path}")
async def script_with_extra(
    request: Request, run_mode: str, farm: str, extra: str, server: Shared
) -> Response:
    """Return a farm's iPXE script with further kernel parameters; `___` is a slash."""
    return send_script(server.parse(request, run_mode, farm, extra), server)


@answer("/usb/{run_mode}/{farm}")
def image_for_farm(request: Request, run_mode: str, farm: str, server: Shared) -> Response:
    """Return a farm's disk image for a USB stick; BIOS and UEFI start from it."""
    return send_image(request, Boot.parse(run_mode, farm), server)


@answer("/usb/{run_mode}/{farm}/{extra:path}")
def image_with_extra(
    request: Request, run_mode: str, farm: str, extra: str, server: Shared
) -> Response:
    """Return a farm's disk image with further kernel parameters."""
    return send_image(request, server.parse(request, run_mode, farm, extra), server)


@answer("/kernel/{run_mode}/release.ipxe")
async def release_script(run_mode: str, server: Shared) -> Response:
    """Return the script that says which release a run mode boots at this moment."""
    release = await server.hashing.run(server.source.find, run_mode)
    return send_text(render_release(*release))


@answer("/kernel/{run_mode}/{release}/{name}")
async def pinned_file(
    request: Request, run_mode: str, release: str, name: str, server: Shared
) -> Response:
    """Return vmlinuz or initramfs.zst of this release, as long as the channel holds it."""
    content = await server.hashing.run(server.source.open_pinned, run_mode, release, name)
    return send_content(request, content, BINARY, {"Cache-Control": NEVER_CHANGES})


@answer("/kernel/{run_mode}/{name}")
async def release_file(request: Request, run_mode: str, name: str, server: Shared) -> Response:
    """Return a file of the release that a run mode boots: vmlinuz, initramfs.zst, manifest.json."""
    content = await server.hashing.run(server.source.open, run_mode, name)
    return send_content(request, content, BINARY, {})


@answer("/channel/metadata/{name}")
async def channel_metadata(request: Request, name: str, server: Shared) -> Response:
    """Return a file of the channels' signed metadata: timestamp.json, or a numbered version."""
    content = await server.hashing.run(server.source.open_metadata, name)
    cached = "no-cache" if name == "timestamp.json" else NEVER_CHANGES
    return send_content(request, content, "application/json", {"Cache-Control": cached})


@answer("/channel/targets/{run_mode}/{name}")
async def channel_target(request: Request, run_mode: str, name: str, server: Shared) -> Response:
    """Return a file that the signed metadata of a channel names, by SHA-256 and name."""
    content = await server.hashing.run(server.source.open_target, run_mode, name)
    return send_content(request, content, BINARY, {"Cache-Control": NEVER_CHANGES})


def send_script(boot: Boot, server: Server) -> Response:
    """Return a boot's script."""
    return send_text(server.script(boot))


def send_text(text: str) -> Response:
    """Return a text that may change before the next request."""
    return PlainTextResponse(text, headers={"Cache-Control": "no-cache"})


def send_image(request: Request, boot: Boot, server: Server) -> Response:
    """Return an image as a file that is named after its run mode and farm."""
    image = personalise(server.templates.get(), server.script(boot))
    disposition = f'attachment; filename="{boot.file_name}"'
    headers = {"Content-Disposition": disposition}
    return send_content(request, image, BINARY, headers)
