"""What the modules of the HTTP interface share.

Every address takes GET and HEAD. An endpoint that may block is a plain function, which runs in a
thread.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

from bootstrap_server.channels.bootable import ReleaseImages
from bootstrap_server.channels.kernels import Kernels
from bootstrap_server.channels.publishing import Publishing
from bootstrap_server.channels.releases import PublishedRelease
from bootstrap_server.channels.sources import FolderSource, Source, StoreSource, find_channels
from bootstrap_server.errors import InputError, NotReadyError, NotThereError, SettingsError
from bootstrap_server.images.kinds import Kind
from bootstrap_server.images.make import Digests
from bootstrap_server.images.personalise import TemplateHolder
from bootstrap_server.nodes.bootlog import BootLog
from bootstrap_server.nodes.table import NodeTable
from bootstrap_server.options.model import Options, parse_run_mode
from bootstrap_server.options.parse import parse_address, split_path
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from bootstrap_server.settings import Settings
from bootstrap_server.state.opening import SCOPES, open_state
from bootstrap_server.trust.enrolment import Enroller, load_key
from serving.content import (
    BeingWrittenError,
    FileOpener,
    KnownFiles,
    NotAtOnceError,
    OpenFile,
    Pieces,
)
from serving.openapi import IN_PARTS, reading
from serving.pools import Pool
from serving.tokens import Tokens

BINARY = "application/octet-stream"
NAMED_PARTS = 2  # run mode and farm, which a suffix may follow
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
        opener = FileOpener()
        self.source = open_source(settings, opener)
        self.publishing = open_publishing(settings, opener)
        self.kernels = Kernels(settings.kernels, opener)
        known = KnownFiles(opener)  # the same once more, to ask without waiting
        self.known_source = self.source.at_once(known)
        self.known_kernels = Kernels(settings.kernels, known)
        self.hashing = hashing
        self.building = Pool(1)
        self.releases = ReleaseImages(self.source, settings.secure_boot)
        self.database = open_state(settings.state, settings.database)
        self.tokens = Tokens(self.database, SCOPES)
        self.log = BootLog(self.database)
        self.nodes = NodeTable(self.database)
        self.unknown_nodes = self.parse_default(settings.unknown_nodes)
        self.enroller = Enroller(load_key(settings.enrol_key, settings.state))

    def check_template(self) -> str | None:
        """Return why no image can be made yet, or None."""
        return None if self.templates.is_loaded else "the template image is not loaded"

    def describe(self) -> dict[str, object]:
        """Return what /ready tells: whether images can be made, and which channels can boot."""
        found = find_channels(self.source)
        channels = {mode: release is not None for mode, release in found.items()}
        return {"template": self.templates.is_loaded, "channels": channels}

    def parse(self, request: Request, kind: Kind, end: str = "") -> Options:
        """Return what an address asks for, apart from its `end`.

        It may also end with the kind's suffix, on which some management controllers insist.
        Raises `NotThereError` or `InputError`.
        """
        raw = request.scope.get("raw_path") or b""
        query = request.query_params.multi_items()
        options = parse_image_address(raw.removesuffix(end.encode()), kind, query)
        self.check_options(options)
        return options

    def parse_default(self, text: str) -> Options | None:
        """Return what nodes get that are not in the table. Raises `SettingsError`."""
        if not text:
            return None
        path, _, query = text.partition("?")
        try:
            options = parse_address(split_path(path.encode()), parse_qsl(query))
            self.check_options(options)
        except (InputError, NotThereError) as error:
            raise SettingsError(
                f"cannot give unknown nodes {text[:80]!r}: {error.message}",
                hint="RUNMODE[/FARM[/PARAMETERS]], as in an address",
            ) from error
        return options

    def check_options(self, options: Options) -> None:
        """Raise `NotThereError` or `InputError` for what this server gives nobody."""
        if options.release and not self.kernels.has(options.release):
            self.source.find_earlier(options.run_mode, options.release)
        options.check_allowed(self.settings.parameters, self.settings.mirrors)

    def site(self, options: Options | None) -> Site:
        """Return what this server adds to a script; `None` is for a script without options."""
        settings = self.settings
        return Site(
            settings.public_url,
            settings.hub_url,
            settings.mirrors,
            has_log=True,
            token=self.enroller.make_token(options) if options else "",
            registry_url=settings.registry_url,
        )

    def check_release(self, options: Options) -> None:
        """Raise `NotThereError` if a run mode has nothing to boot; it may be published just now."""
        if options.release:
            return  # `check_options` has found it
        with contextlib.suppress(NotReadyError, BeingWrittenError):
            self.source.find(options.run_mode)

    async def find_current(self, run_mode: str) -> PublishedRelease:
        """Return what a run mode boots now, as a rule at once.

        A thread would have to wait for this one at each look at a file, which takes seconds while
        hundreds of nodes boot.
        """
        try:
            return self.known_source.find(run_mode)
        except NotAtOnceError:
            return await self.hashing.run(self.source.find, run_mode)

    def find_release(self, run_mode: str, name: str) -> PublishedRelease:
        """Return an operator's kernel of this name, or an earlier release of the run mode."""
        parse_run_mode(run_mode)
        if self.kernels.has(name):
            return self.kernels.find(name)
        return self.source.find_earlier(run_mode, name)

    def script(self, options: Options) -> str:
        """Return the script of `options` with this server's own addresses."""
        return render_script(options, self.site(options))


def parse_image_address(raw: bytes, kind: Kind, query: Iterable[tuple[str, str]] = ()) -> Options:
    """Return what a path as it was sent, and its query, ask for.

    Raises `NotThereError` or `InputError`.
    """
    parts = split_path(raw.removeprefix(b"/"))[1:]
    if 0 < len(parts) <= NAMED_PARTS:  # a later one may end so by itself
        parts[-1] = parts[-1].removesuffix(kind.suffix)
    if len([part for part in parts if part]) > kind.max_parts:
        raise NotThereError("nothing is at this address")
    return parse_address(parts, query)


def open_pinned(
    source: Source, kernels: Kernels, run_mode: str, identity: str, name: str
) -> OpenFile | Pieces:
    """Open a boot file of what `Server.find_release`, or `find` of the source, has named."""
    parse_run_mode(run_mode)
    own = kernels.open_pinned(identity, name)
    return own or source.open_pinned(run_mode, identity, name)


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
    """Register a function for GET and HEAD of `path`, which sends a file."""
    return reading(router, path, responses=IN_PARTS)


def send_text(text: str) -> Response:
    """Return a text that may change before the next request."""
    return PlainTextResponse(text, headers={"Cache-Control": "no-cache"})
