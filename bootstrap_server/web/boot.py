"""Scripts and images, each made for what its address says."""

from fastapi import Request
from starlette.responses import Response

from bootstrap_server.images.personalise import personalise
from bootstrap_server.web.shared import BINARY, Server, Shared, answer, make_router, send_text
from serving.respond import send_content

router = make_router()


@answer(router, "/ipxe/{run_mode}")
async def script_without_farm(request: Request, server: Shared) -> Response:
    """Return the iPXE script of a node that belongs to no farm."""
    return send_text(server.script(server.parse(request)))


@answer(router, "/ipxe/{run_mode}/{farm}")
async def script_for_farm(request: Request, server: Shared) -> Response:
    """Return a farm's iPXE script."""
    return send_text(server.script(server.parse(request)))


@answer(router, "/ipxe/{run_mode}/{farm}/{extra:path}")
async def script_with_extra(request: Request, server: Shared) -> Response:
    """Return a farm's iPXE script with further kernel parameters; `___` is a slash."""
    return send_text(server.script(server.parse(request)))


@answer(router, "/usb/{run_mode}/{farm}")
def image_for_farm(request: Request, server: Shared) -> Response:
    """Return a farm's disk image for a USB stick; BIOS and UEFI start from it."""
    return send_image(request, server)


@answer(router, "/usb/{run_mode}/{farm}/{extra:path}")
def image_with_extra(request: Request, server: Shared) -> Response:
    """Return a farm's disk image with further kernel parameters."""
    return send_image(request, server)


def send_image(request: Request, server: Server) -> Response:
    """Return an image as a file that is named after its options."""
    options = server.parse(request)
    image = personalise(server.templates.get(), server.script(options))
    disposition = f'attachment; filename="{options.file_name}.img"'
    return send_content(request, image, BINARY, {"Content-Disposition": disposition})
