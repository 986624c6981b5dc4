"""What can be booted, and the kernels of the operator's own, after upstream's addresses."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import JSONResponse

from bootstrap_server.channels.images import describe_images
from bootstrap_server.errors import InputError
from bootstrap_server.web.publish import ANSWERS, Publisher
from bootstrap_server.web.shared import Shared, answer, make_router
from common.files import open_atomic
from serving.bodies import PIECE_BYTES, read_pieces

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

KERNEL_MAX_BYTES = 512 << 20
FIELD = "kernel"
DONE = {"status": "success"}

router = make_router()


@answer(router, "/api/images")
async def images(server: Shared) -> JSONResponse:
    """Return the release of each run mode, earlier ones that can be chosen, and own kernels."""
    value = await server.hashing.run(describe_images, server.source, server.kernels)
    return JSONResponse(value, headers={"Cache-Control": "no-cache"})


@router.post("/api/kernel", responses=ANSWERS)
async def take_kernel(request: Request, server: Shared, publisher: Publisher) -> JSONResponse:
    """Store a kernel: a form with the file as its field `kernel`; the file's name is the kernel's.

    A kernel of this name is replaced; a download that has begun gets the one before.
    """
    pieces = read_pieces(request, PIECE_BYTES, KERNEL_MAX_BYTES)
    stream = cast("AsyncGenerator[bytes, None]", pieces)
    parser = MultiPartParser(request.headers, stream, max_files=1, max_fields=4)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise InputError(FIELD, f"the form can't be read: {error!s:.100}") from error
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile) or not file.filename:
            raise InputError(FIELD, "the form has no file with the name `kernel`")
        pools = request.app.state.kit.pools
        await pools.uploads.run(copy, file.file, server.kernels.place(file.filename))
        name = file.filename
    finally:
        await form.close()
    request.app.state.kit.log.info("kernel received", name=name, token=publisher.name)
    return JSONResponse(DONE)


@router.post("/api/symlink/{link}/{target}", responses=ANSWERS)
def link_kernel(
    request: Request, link: str, target: str, server: Shared, publisher: Publisher
) -> JSONResponse:
    """Make a name lead to a kernel, in place of what it led to before."""
    server.kernels.link(link, target)
    request.app.state.kit.log.info("kernel linked", name=link, target=target, token=publisher.name)
    return JSONResponse(DONE)


def copy(source: BinaryIO, place: Path) -> None:
    """Write a file whole, or not at all."""
    source.seek(0)
    with open_atomic(place) as target:
        shutil.copyfileobj(source, target)
