"""What nodes ask for most, below ASGI: scripts, images that hold no release, and releases' files.

What such a script or image is, its address tells for as long as the server runs; whether its run
mode has something to boot, and every file of a release, is found out anew for each request. What
can't be told at once, every error among it, is left to the application, which gives the same
answers.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from re import Pattern
from typing import NamedTuple

from starlette.routing import compile_path

from bootstrap_server.channels.bootable import KINDS as OF_RELEASES
from bootstrap_server.channels.kernels import Kernels
from bootstrap_server.channels.sources import Source
from bootstrap_server.images.kinds import KINDS, Kind
from bootstrap_server.images.make import BESIDE
from bootstrap_server.options.model import Options
from bootstrap_server.web.boot import (
    PLACES,
    check_root,
    choose_name,
    choose_type,
    make_headers,
    make_lasting,
)
from bootstrap_server.web.shared import (
    BINARY,
    NEVER_CHANGES,
    Server,
    open_pinned,
    parse_image_address,
)
from common.errors import ZosError
from serving.content import FileContent, Pieces
from serving.fast.cycle import Finder, Found
from serving.fast.head import Head

IMAGES_KEPT = 256  # about 8 MB: each has its script
RELEASE_SCRIPT = "/release.ipxe"


class Image(NamedTuple):
    """What an address of an image names; without options, the kind has one image only."""

    kind: Kind
    options: Options | None
    route: str
    content: Pieces


class Files(NamedTuple):
    """The files at addresses of one form, and what their answers say."""

    form: Pattern[str]
    route: str
    open: Callable[..., FileContent]
    headers: dict[str, str]


def find_hot(server: Server) -> Finder:
    """Return what finds scripts, images and files of releases."""
    source = server.known_source
    images = lru_cache(IMAGES_KEPT)(partial(resolve_image, server))
    files = list_files(source, server.known_kernels)

    def find(head: Head) -> Found | None:
        if not server.templates.is_loaded:
            return None
        try:
            image = images(head.path)
            return find_image(source, image, head) if image else find_file(files, head.path)
        except (OSError, ZosError):
            return None

    return find


def resolve_image(server: Server, path: str) -> Image | None:
    """Return the image that an address names; None: it is another one, or holds a release.

    Raises `ZosError` for an address that is wrong.
    """
    kind = KINDS.get(path.split("/")[1])
    if kind is None or kind.source in OF_RELEASES or path.endswith(BESIDE):
        return None
    places = PLACES if kind.max_parts else ("",)
    routes = (f"/{kind.name}{place}" for place in places)
    route = next((route for route in routes if compile_path(route)[0].match(path)), None)
    if route is None:
        return None
    options = parse_image_address(path.encode(), kind) if kind.max_parts else None
    if options:
        if options.release:  # which may be withdrawn
            return None
        server.check_options(options)
    check_root(server, kind)
    return Image(kind, options, route, make_lasting(server, kind, options))


def find_image(source: Source, image: Image, head: Head) -> Found:
    """Return the answer to a request for an image. Raises `ZosError` if nothing can be booted."""
    kind, options = image.kind, image.options
    if options:
        source.find(options.run_mode)
    headers = make_headers(head.headers, kind, choose_name(head.headers, kind, options))
    return Found(image.content, image.route, choose_type(head.headers, kind), headers)


def list_files(source: Source, kernels: Kernels) -> list[Files]:
    """Return the addresses of files, as `bootstrap_server.web.releases` has them."""
    lasting = {"Cache-Control": NEVER_CHANGES}

    def make(route: str, opener: Callable[..., FileContent], headers: dict[str, str]) -> Files:
        return Files(compile_path(route)[0], route, opener, headers)

    pinned = partial(open_pinned, source, kernels)
    return [
        make("/kernel/{run_mode}/{release}/{name}", pinned, lasting),
        make("/kernel/{run_mode}/{name}", source.open, {}),
        make("/kernel/{name}", kernels.open, {}),
        make("/channel/targets/{run_mode}/{name}", source.open_target, lasting),
    ]


def find_file(files: list[Files], path: str) -> Found | None:
    """Return the answer to a request for a file. Raises `OSError` and `ZosError`."""
    if path.endswith(RELEASE_SCRIPT):
        return None
    for row in files:
        match = row.form.match(path)
        if match:
            return Found(row.open(*match.groups()), row.route, BINARY, row.headers)
    return None
