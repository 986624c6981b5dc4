"""Scripts and images, each made for what its address says."""

from fastapi import Request
from starlette.responses import Response

from bootstrap_server.images.personalise import personalise
from bootstrap_server.web.shared import BINARY, Shared, answer, make_router, send_text
from serving.respond import send_content

router = make_router()


@answer(router, "/ipxe/{address:path}")
async def script(request: Request, server: Shared) -> Response:
    """Return the iPXE script of a run mode, a farm, kernel parameters; `___` is a slash."""
    return send_text(server.script(server.parse(request)))


@answer(router, "/usb/{address:path}")
def image(request: Request, server: Shared) -> Response:
    """Return a disk image for a USB stick, named after its options; BIOS and UEFI start from it."""
    options = server.parse(request)
    image = personalise(server.templates.get(), server.script(options))
    disposition = f'attachment; filename="{options.file_name}.img"'
    return send_content(request, image, BINARY, {"Content-Disposition": disposition})
