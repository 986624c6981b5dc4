"""What the modules of the HTTP interface share.

Every address takes GET and HEAD. An endpoint that may block is a plain function, which runs in a
thread.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

from bootstrap_server.channels.kernels import Kernels
from bootstrap_server.channels.publishing import Publishing
from bootstrap_server.channels.releases import PublishedRelease
from bootstrap_server.channels.sources import FolderSource, Source, StoreSource, find_channels
from bootstrap_server.errors import InputError
from bootstrap_server.images.personalise import TemplateHolder, personalise
from bootstrap_server.options.model import Options, parse_run_mode
from bootstrap_server.options.parse import parse_address, split_path
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from bootstrap_server.settings import Settings
from bootstrap_server.state.opening import SCOPES, open_state
from serving.content import Content, FileOpener
from serving.pools import Pool
from serving.tokens import Tokens

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
        self.templates = TemplateHolder()
        opener = FileOpener()
        self.source = open_source(settings, opener)
        self.publishing = open_publishing(settings, opener)
        self.kernels = Kernels(settings.kernels, opener)
        self.hashing = hashing
        self.database = open_state(settings.state, settings.database)
        self.tokens = Tokens(self.database, SCOPES)

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
        image = personalise(self.templates.get(), self.script(boot))
        return hashlib.sha256(b"".join(image.parts)).hexdigest()

    def parse(self, request: Request) -> Options:
        """Return what an address asks for. Raises `NotThereError` or `InputError`."""
        raw = request.scope.get("raw_path") or b""
        parts = split_path(raw.removeprefix(b"/"))[1:]
        options = parse_address(parts, request.query_params.multi_items())
        if options.release and not self.kernels.has(options.release):
            self.source.find_earlier(options.run_mode, options.release)
        options.check_allowed(self.settings.parameters, self.settings.mirrors)
        return options

    def find_release(self, run_mode: str, name: str) -> PublishedRelease:
        """Return an operator's kernel of this name, or an earlier release of the run mode."""
        parse_run_mode(run_mode)
        if self.kernels.has(name):
            return self.kernels.find(name)
        return self.source.find_earlier(run_mode, name)

    def open_pinned(self, run_mode: str, identity: str, name: str) -> Content:
        """Open a boot file of what `find_release`, or `find` of the source, has named."""
        parse_run_mode(run_mode)
        own = self.kernels.open_pinned(identity, name)
        return own or self.source.open_pinned(run_mode, identity, name)

    def script(self, options: Options) -> str:
        """Return the script of `options` with this server's own addresses."""
        settings = self.settings
        return render_script(options, Site(settings.public_url, settings.hub_url, settings.mirrors))


def open_source(settings: Settings, opener: FileOpener) -> Source:
    """Return where the releases of a server come from."""
    if settings.releases is not None:
        return FolderSource(settings.releases, opener)
    assert settings.store is not None
    return StoreSource(settings.store, settings.root, opener)


def open_publishing(settings: Settings, opener: FileOpener) -> Publishing | None:
    """Return where publishers write to; None on a server of folders."""
    return Publishing(settings.store, settings.root, opener) if settings.store else None


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
        return router.get(path)(endpoint)

    return register


def send_text(text: str) -> Response:
    """Return a text that may change before the next request."""
    return PlainTextResponse(text, headers={"Cache-Control": "no-cache"})
