"""What the modules of the HTTP interface share.

Every address takes GET and HEAD. An endpoint that may block is a plain function, which runs in a
thread.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

from bootstrap_server.channels.bootable import ReleaseImages
from bootstrap_server.channels.sources import FolderSource, Source, StoreSource, find_channels
from bootstrap_server.errors import InputError, NotReadyError, NotThereError
from bootstrap_server.images.kinds import KINDS, Kind
from bootstrap_server.images.make import Digests, make_image
from bootstrap_server.images.personalise import TemplateHolder
from bootstrap_server.options.model import Options
from bootstrap_server.options.parse import parse_address, split_path
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from bootstrap_server.settings import Settings
from serving.content import BeingWrittenError, FileOpener
from serving.openapi import IN_PARTS
from serving.pools import Pool

BINARY = "application/octet-stream"
NEVER_CHANGES = "public, max-age=31536000, immutable"
Endpoint = TypeVar("Endpoint", bound=Callable[..., Response | Awaitable[Response]])


async def check_address(request: Request) -> None:
    """Refuse a path that is not printable: a route's pattern would drop a newline at its end."""
    if not request.scope["path"].isprintable():
        raise InputError("address", "the address holds a character that can't be printed")


class Server:
    """What the requests to one application share."""

    def __init__(self, settings: Settings, hashing: Pool) -> None:
        self.settings = settings
        self.templates = TemplateHolder(settings.tls_root)
        self.digests = Digests()
        self.source = open_source(settings, FileOpener())
        self.hashing = hashing
        self.building = Pool(1)
        self.releases = ReleaseImages(self.source)

    def check_template(self) -> str | None:
        """Return why no image can be made yet, or None."""
        return None if self.templates.is_loaded else "the template image is not loaded"

    def describe(self) -> dict[str, object]:
        """Return what /ready tells: whether images can be made, and which channels can boot."""
        found = find_channels(self.source)
        channels = {mode: release is not None for mode, release in found.items()}
        return {"template": self.templates.is_loaded, "channels": channels}

    def checksum(self, boot: Options) -> str:
        """Return the SHA-256 of the image of `boot`; empty while no image can be made."""
        if not self.templates.is_loaded:
            return ""
        return self.digests.of(make_image(self.templates, KINDS["usb"], self.script(boot)))

    def parse(self, request: Request, kind: Kind, end: str = "") -> Options:
        """Return what an address asks for, apart from its `end`.

        Raises `NotThereError` or `InputError`.
        """
        raw = request.scope.get("raw_path") or b""
        parts = split_path(raw.removesuffix(end.encode()).removeprefix(b"/"))[1:]
        if len([part for part in parts if part]) > kind.max_parts:
            raise NotThereError("nothing is at this address")
        options = parse_address(parts, request.query_params.multi_items())
        if options.release:
            raise NotThereError("a kernel can't be chosen by its name here")
        options.check_allowed(self.settings.parameters, self.settings.mirrors)
        return options

    def check_release(self, options: Options) -> None:
        """Raise `NotThereError` if a run mode has nothing to boot; it may be published just now."""
        with contextlib.suppress(NotReadyError, BeingWrittenError):
            self.source.find(options.run_mode)

    def site(self, _options: Options | None) -> Site:
        """Return what this server adds to a script; `None` is for a script without options."""
        settings = self.settings
        return Site(settings.public_url, settings.hub_url, settings.mirrors)

    def script(self, options: Options) -> str:
        """Return the script of `options` with this server's own addresses."""
        return render_script(options, self.site(options))


def open_source(settings: Settings, opener: FileOpener) -> Source:
    """Return where the releases of a server come from."""
    if settings.releases is not None:
        return FolderSource(settings.releases, opener)
    assert settings.store is not None
    return StoreSource(settings.store, settings.root, opener)


async def get_server(request: Request) -> Server:
    """Return what `create_app` made for the application that got `request`."""
    server: Server = request.app.state.server
    return server


Shared = Annotated[Server, Depends(get_server)]


def make_router() -> APIRouter:
    """Return a router whose addresses are checked first."""
    return APIRouter(default_response_class=Response, dependencies=[Depends(check_address)])


def answer(router: APIRouter, path: str) -> Callable[[Endpoint], Endpoint]:
    """Register a function for GET and HEAD of `path`."""

    def register(endpoint: Endpoint) -> Endpoint:
        router.head(path, include_in_schema=False)(endpoint)
        return router.get(path, responses=IN_PARTS)(endpoint)

    return register


def send_text(text: str) -> Response:
    """Return a text that may change before the next request."""
    return PlainTextResponse(text, headers={"Cache-Control": "no-cache"})
