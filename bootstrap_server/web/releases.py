"""The files of releases, and the channels' signed metadata."""

from fastapi import Request
from starlette.responses import Response

from bootstrap_server.script.boot import render_release
from bootstrap_server.web.shared import (
    BINARY,
    NEVER_CHANGES,
    Shared,
    answer,
    make_router,
    open_pinned,
    send_text,
)
from serving.respond import send_content

router = make_router()


@answer(router, "/kernel/{run_mode}/release.ipxe")
async def release_script(run_mode: str, server: Shared) -> Response:
    """Return the script that says which release a run mode boots at this moment."""
    release = await server.find_current(run_mode)
    return send_text(render_release(*release))


@answer(router, "/kernel/{run_mode}/{release}/release.ipxe")
async def chosen_release_script(run_mode: str, release: str, server: Shared) -> Response:
    """Return the same for an earlier release of the run mode, or a kernel of the operator's."""
    found = await server.hashing.run(server.find_release, run_mode, release)
    return send_text(render_release(*found))


@answer(router, "/kernel/{run_mode}/{release}/{name}")
async def pinned_file(
    request: Request, run_mode: str, release: str, name: str, server: Shared
) -> Response:
    """Return vmlinuz or initramfs.zst of this release, as long as the channel holds it."""
    content = await server.hashing.run(
        open_pinned, server.source, server.kernels, run_mode, release, name
    )
    return send_content(request, content, BINARY, {"Cache-Control": NEVER_CHANGES})


@answer(router, "/kernel/{run_mode}/{name}")
async def release_file(request: Request, run_mode: str, name: str, server: Shared) -> Response:
    """Return a file of the release that a run mode boots: vmlinuz, initramfs.zst, manifest.json."""
    content = await server.hashing.run(server.source.open, run_mode, name)
    return send_content(request, content, BINARY, {})


@answer(router, "/kernel/{name}")
async def kernel_file(request: Request, name: str, server: Shared) -> Response:
    """Return a kernel of the operator's."""
    content = await server.hashing.run(server.kernels.open, name)
    return send_content(request, content, BINARY, {})


@answer(router, "/channel/metadata/{name}")
async def channel_metadata(request: Request, name: str, server: Shared) -> Response:
    """Return a file of the channels' signed metadata: timestamp.json, or a numbered version."""
    content = await server.hashing.run(server.source.open_metadata, name)
    cached = "no-cache" if name == "timestamp.json" else NEVER_CHANGES
    return send_content(request, content, "application/json", {"Cache-Control": cached})


@answer(router, "/channel/targets/{run_mode}/{name}")
async def channel_target(request: Request, run_mode: str, name: str, server: Shared) -> Response:
    """Return a file that the signed metadata of a channel names, by SHA-256 and name."""
    content = await server.hashing.run(server.source.open_target, run_mode, name)
    return send_content(request, content, BINARY, {"Cache-Control": NEVER_CHANGES})
