"""Scripts and images, each made for what its address says; the addresses come from `KINDS`.

Beside every address is its checksum (`.sha256`) and its signature (`.sig`).
"""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from bootstrap_server.channels.bootable import KINDS as OF_RELEASES
from bootstrap_server.channels.bootable import UKI
from bootstrap_server.errors import NotThereError
from bootstrap_server.images.keys import render_public
from bootstrap_server.images.kinds import BIOS, FIRMWARE_TYPES, KINDS, OCTETS, TEXT, Kind
from bootstrap_server.images.make import (
    BESIDE,
    CHECKSUM,
    make_content,
    make_image,
    render_checksum,
    sign_digest,
)
from bootstrap_server.options.model import Options
from bootstrap_server.script.boot import command_line
from bootstrap_server.script.provision import render_provision
from bootstrap_server.web.shared import Server, Shared, answer, make_router
from serving.content import Content, Pieces
from serving.respond import send_content

router = make_router()
FIRMWARE_AGENT = "UefiHttpBoot/"  # EDK II's, from which vendors make their firmware
PLACES = ("/{run_mode}", "/{run_mode}/", "/{run_mode}/{farm}", "/{run_mode}/{farm}/{extra:path}")


def add_kind(router: APIRouter, kind: Kind) -> None:
    """Register the addresses of a kind."""

    async def send(request: Request, server: Shared) -> Response:
        return await send_kind(request, server, kind)

    send.__doc__ = f"Return a boot image: {kind.title} ({', '.join(kind.firmware)})."
    for place in PLACES if kind.max_parts else ():
        answer(router, f"/{kind.name}{place}")(send)
    for end in ("", *BESIDE) if not kind.max_parts else ():
        answer(router, f"/{kind.name}{end}")(send)


async def send_kind(request: Request, server: Server, kind: Kind) -> Response:
    """Return an image, its checksum, or its signature."""
    end = next((end for end in BESIDE if request.url.path.endswith(end)), "")
    options = server.parse(request, kind, end) if kind.max_parts else None
    pool = server.building if kind.source in OF_RELEASES else server.hashing
    content = await pool.run(make, server, kind, options)
    name = choose_name(request.headers, kind, options)
    if end:
        digest = await server.hashing.run(server.digests.of, content)
        content.close()
        content, media_type = describe(server, digest, name, end)
    else:
        media_type = choose_type(request.headers, kind)
    headers = make_headers(request.headers, kind, name + end)
    return send_content(request, content, media_type, headers)


def make(server: Server, kind: Kind, options: Options | None) -> Content:
    """Return the content of an image. Raises `NotThereError` if there is nothing to boot."""
    check_root(server, kind)
    if options is not None:
        server.check_release(options)
        if kind.source in OF_RELEASES and options.release:
            raise NotThereError(
                f"a {kind.name} image always holds the run mode's current release",
                hint="usb, iso and uefi images boot an earlier one",
            )
        if kind.source == UKI and options == Options(options.run_mode):
            return server.releases.open_signed(options.run_mode)
        if kind.source in OF_RELEASES:
            line = command_line(options, server.site(options))
            return server.releases.open(kind.source, options.run_mode, line)
    return make_lasting(server, kind, options)


def make_lasting(server: Server, kind: Kind, options: Options | None) -> Pieces:
    """Return what an image always is that holds no release. Reads nothing and looks at no clock."""
    if options is not None:
        script = server.script(options)
    else:
        script = render_provision(server.site(None)) if kind.personal == "provision" else ""
    return make_image(server.templates, kind, script)


def check_root(server: Server, kind: Kind) -> None:
    """Raise `NotThereError` for an image that could not trust this server's own root."""
    is_private = server.settings.tls_root and server.settings.public_url.startswith("https:")
    if is_private and kind.firmware == (BIOS,) and kind.personal != "none":
        raise NotThereError(
            "iPXE for BIOS can't be given this server's own root certificate",
            hint="/full/... needs no HTTPS before Linux runs; with UEFI every other kind works",
        )


def describe(server: Server, digest: str, name: str, end: str) -> tuple[Content, str]:
    """Return what stands beside an image, and its media type."""
    if end == CHECKSUM:
        return make_content(render_checksum(digest, name)), TEXT
    return make_content(sign_digest(server.settings.image_key, digest)), OCTETS


def wants_page(asked: Mapping[str, str]) -> bool:
    """Return whether a browser asks, which shows a person the name of what it saves."""
    return "text/html" in asked.get("accept", "")


def make_headers(asked: Mapping[str, str], kind: Kind, name: str) -> dict[str, str]:
    """Return what an answer says beside its content to a request with the headers `asked`."""
    headers = {"Vary": "Accept, User-Agent"}
    if kind.source != "script":  # which a browser may show
        headers["Content-Disposition"] = (
            f'attachment; filename="{name}"' if wants_page(asked) else f"inline; filename={name}"
        )
    return headers


def choose_type(asked: Mapping[str, str], kind: Kind) -> str:
    """Return the media type of an image: the one that UEFI's own HTTP client boots, or upstream's.

    That client takes a program without it only from an address that ends in `.efi`.
    """
    is_firmware = asked.get("user-agent", "").startswith(FIRMWARE_AGENT)
    return FIRMWARE_TYPES.get(kind.suffix, kind.media_type) if is_firmware else kind.media_type


def choose_name(asked: Mapping[str, str], kind: Kind, options: Options | None) -> str:
    """Return a name that says what is in the file; for other clients than browsers, upstream's."""
    return kind.file_name(options) if wants_page(asked) else kind.upstream_name(options)


@answer(router, "/image-key.pub")
async def image_key(request: Request, server: Shared) -> Response:
    """Return the public key of the images' signatures."""
    key = server.settings.image_key
    if key is None:
        raise NotThereError("this server signs no images: it has no key for them")
    return send_content(request, make_content(render_public(key)), "application/x-pem-file", {})


for _kind in KINDS.values():
    add_kind(router, _kind)
