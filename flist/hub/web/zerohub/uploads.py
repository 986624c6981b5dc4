"""Uploads and merges in 0-hub's interface: they end in a flist of the account's repository.

POST /api/flist/me/upload           a form: `file` is a .tar.gz, `metadata-KEY` are free metadata
POST /api/flist/me/upload-flist     a form: `file` is a flist, whose blocks are on the hub
POST /api/flist/me/merge/NAME       JSON: ["USER/FLIST", ...], of which the first wins
POST /api/flist/me/docker           a form: `image` is the name of a container image

Header `X-Original-Name`: the upload's name, if the form has another. `?format=fl`: the result has
the newer format.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from flist.hub.errors import AbsentError, HubError
from flist.hub.library.links import Place
from flist.hub.library.values import Entry
from flist.hub.names import NEW_SUFFIX, SUFFIX
from flist.hub.web.zerohub.acting import Actor
from flist.hub.web.zerohub.building import Builder, Built, Wish
from flist.hub.web.zerohub.catalog import Catalog
from flist.hub.web.zerohub.envelope import CHANGING, EnvelopeRoute, success
from flist.hub.web.zerohub.forms import Form, receive_form
from flist.hub.web.zerohub.me import ME, changes
from flist.hub.web.zerohub.names import (
    archive_target,
    checked,
    flist_target,
    with_suffix,
)
from serving.bodies import read_body
from serving.kit import Kit

METADATA = "metadata-"
PROTECTED = ("readme", "backend", "entrypoint", "environ", "port", "volume")
"""Upstream ignores these without a word: they come from the archive, or from the hub."""
MAX_MERGE_BYTES = 256 << 10
MAX_SOURCES = 64
Changer = Annotated[Actor, Depends(changes)]


def make_router(builder: Builder, kit: Kit) -> APIRouter:
    """Return the routes."""
    router = APIRouter(route_class=EnvelopeRoute, responses=CHANGING)
    add_archives(router, builder, kit)
    add_flists(router, builder, kit)
    add_merges(router, builder)
    return router


def read_suffix(request: Request) -> str:
    """Return the suffix of the flist that shall be made."""
    return NEW_SUFFIX if request.query_params.get("format") == "fl" else SUFFIX


def read_archive(request: Request, form: Form) -> Wish:
    """Return what a form with an archive asks for. Raises `HubError` in upstream's words."""
    if form.file_name is None or form.path is None:
        raise HubError("no file found")
    original = request.headers.get("x-original-name", "")
    name = archive_target(form.file_name, original, read_suffix(request))
    metadata = {
        key.removeprefix(METADATA): value
        for key, value in form.fields
        if key.startswith(METADATA) and key.removeprefix(METADATA) not in PROTECTED
    }
    return Wish(name, form.path, metadata)


def read_flist(request: Request, form: Form) -> Wish:
    """Return what a form with a flist asks for. Raises `HubError` in upstream's words."""
    if form.file_name is None or form.path is None:
        raise HubError("no file found")
    original = request.headers.get("x-original-name", "")
    return Wish(flist_target(form.file_name, original), form.path, {})


def show_built(built: Built) -> dict[str, Any]:
    """Return what 0-hub answers to an upload: the name, and what its builder printed."""
    files = {"success": True, "error": None, "response": built.response, "status": 0}
    return {"name": built.name, "files": files}


def add_archives(router: APIRouter, builder: Builder, kit: Kit) -> None:
    """Add the upload of an archive."""
    pool = kit.pools.uploads

    @router.post(f"{ME}/upload")
    async def take_archive(request: Request, actor: Changer) -> Response:
        """Make a flist of an archive."""
        async with receive_form(request, builder.folder, builder.limit, pool) as form:
            wish = read_archive(request, form)
            built = await builder.pool.run(builder.build_archive, actor, wish)
        return success(show_built(built))


def add_flists(router: APIRouter, builder: Builder, kit: Kit) -> None:
    """Add the upload of a flist."""
    pool = kit.pools.uploads

    @router.post(f"{ME}/upload-flist")
    async def take_flist(request: Request, actor: Changer) -> Response:
        """Publish a flist, whose blocks are on the hub."""
        async with receive_form(request, builder.folder, builder.limit, pool) as form:
            wish = read_flist(request, form)
            built = await builder.pool.run(builder.take_flist, actor, wish)
        return success(show_built(built))


def add_merges(router: APIRouter, builder: Builder) -> None:
    """Add merges."""

    @router.post(f"{ME}/merge/{{name}}")
    async def merge(request: Request, actor: Changer, name: str) -> Response:
        """Merge flists into one."""
        sources = read_sources(await read_body(request, MAX_MERGE_BYTES))
        await builder.pool.run(merge_sources, builder, actor, name, sources)
        return success()


def read_sources(body: bytes) -> list[Place]:
    """Return the flists to merge. Raises `HubError`."""
    try:
        sources = json.loads(body)
    except (ValueError, RecursionError):
        sources = None
    if not isinstance(sources, list):
        raise HubError("malformed json request")
    return split_sources(sources)


def split_sources(sources: Sequence[object]) -> list[Place]:
    """Return repository and name of each source. Raises `HubError` in upstream's words."""
    if not sources:
        raise HubError("no source found")
    if len(sources) > MAX_SOURCES:
        raise HubError(f"more than {MAX_SOURCES} sources")
    pairs = [source.split("/") if isinstance(source, str) else [] for source in sources]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise HubError("malformed source filename")
    return [(repo, name) for repo, name in pairs]


def merge_sources(builder: Builder, actor: Actor, name: str, sources: Sequence[Place]) -> str:
    """Merge flists that a client has named; return the name of the result.

    Without a suffix in its name, it has the newer format if all sources have. Raises `AbsentError`.
    """
    found = [find_source(builder.catalog, actor, place) for place in sources]
    is_new = all(entry.format == "fl" for entry in found)
    wanted = checked(with_suffix(name, NEW_SUFFIX if is_new else SUFFIX))
    builder.merge(actor, wanted, [entry.digest for entry in found])
    return wanted


def find_source(catalog: Catalog, actor: Actor, place: Place) -> Entry:
    """Return the flist of a source. Raises `AbsentError`."""
    repo, name = place
    try:
        return catalog.find(actor.viewer, repo, name).demand_flist()
    except AbsentError as error:
        raise AbsentError(f"{repo}/{with_suffix(name)} does not exists") from error
