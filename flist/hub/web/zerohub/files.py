"""The files at 0-hub's addresses.

GET /USER/FLIST.flist, /USER/tags/TAG/FLIST.flist    the flist itself (.fl, too)
GET /USER/FLIST.flist.md5                            its MD5, which nodes look for changes with
GET /USER/FLIST.txt, .json                           what it is, for scripts
"""

from email.utils import formatdate
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from flist.hub.web.shared import BINARY, headers_of
from flist.hub.web.viewers import viewer
from flist.hub.web.zerohub.catalog import Catalog
from flist.hub.web.zerohub.envelope import IN_PARTS, READING, PublicRoute
from flist.hub.web.zerohub.public import add_reading
from serving.pools import Pool
from serving.respond import send_content

AS_FILE: dict[str, Any] = {
    "response_class": Response, "responses": IN_PARTS,
}  # fmt: skip
AS_TEXT: dict[str, Any] = {"response_class": PlainTextResponse}


def make_router(catalog: Catalog, hashing: Pool) -> APIRouter:
    """Return the routes."""
    router = APIRouter(route_class=PublicRoute, responses=READING)
    for suffix in (".flist", ".fl"):
        add_downloads(router, catalog, hashing, suffix)
    add_words(router, catalog, hashing)
    return router


def add_downloads(router: APIRouter, catalog: Catalog, hashing: Pool, suffix: str) -> None:
    """Add the files of one format."""

    async def download(request: Request, user: str, name: str, version: str = "") -> Response:
        """Return a flist, or a version of it by its SHA-256."""
        return await hashing.run(send_flist, catalog, request, user, f"{name}{suffix}", version)

    async def download_tagged(request: Request, user: str, tag: str, name: str) -> Response:
        """Return the flist that a link in a tag leads to."""
        return await hashing.run(send_flist, catalog, request, user, f"{name}{suffix}", "", tag)

    async def tell_md5(request: Request, user: str, name: str) -> Response:
        """Return a flist's MD5."""

        def read() -> str:
            flist = catalog.find(viewer(request), user, f"{name}{suffix}").demand_flist()
            return catalog.md5(flist.digest)

        return PlainTextResponse(await hashing.run(read) + "\n")

    if suffix == ".flist":  # the others have versions, too: flist.hub.web.flists
        add_reading(router, f"/{{user}}/{{name}}{suffix}", download, **AS_FILE)
    add_reading(router, f"/{{user}}/tags/{{tag}}/{{name}}{suffix}", download_tagged, **AS_FILE)
    add_reading(router, f"/{{user}}/{{name}}{suffix}.md5", tell_md5, **AS_TEXT)


def send_flist(
    catalog: Catalog, request: Request, user: str, name: str, version: str, tag: str = ""
) -> Response:
    """Return the flist at the end of a name's links; its ETag is the SHA-256 of its content."""
    asking = viewer(request)
    found = catalog.find(asking, user, name, tag)
    flist = found.demand_flist()
    flists = catalog.hub.flists
    digest = flists.find_version(asking, user, name, version).digest if version else flist.digest
    content = catalog.hub.contents.open(digest)
    shown = {
        "Content-Disposition": f"inline; filename={found.entry.name}",
        "Last-Modified": formatdate(flist.changed_s, usegmt=True),
    }
    headers = headers_of(shown, is_open=not asking.is_known)
    return send_content(request, content, BINARY, headers)


def add_words(router: APIRouter, catalog: Catalog, hashing: Pool) -> None:
    """Add what a flist is, for scripts."""

    async def tell_text(request: Request, user: str, name: str) -> Response:
        """Tell what a flist is as text."""
        facts = await hashing.run(read_facts, catalog, request, user, name)
        rows = {"File": "name", "Uploader": "uploader", "Source": "source", "Storage": "storage",
                "Checksum": "md5"}  # fmt: skip
        lines = (f"{title + ':':<10}{facts[key]}\n" for title, key in rows.items())
        return PlainTextResponse("".join(lines))

    async def tell_json(request: Request, user: str, name: str) -> Response:
        """Tell what a flist is as JSON."""
        return JSONResponse(await hashing.run(read_facts, catalog, request, user, name))

    add_reading(router, "/{user}/{name}.txt", tell_text, **AS_TEXT)
    add_reading(router, "/{user}/{name}.json", tell_json)


def read_facts(catalog: Catalog, request: Request, user: str, name: str) -> dict[str, Any]:
    """Return what a flist is. Raises `AbsentError`."""
    asking = viewer(request)
    facts = catalog.summary(asking, user, name)
    place = base_url(catalog, request)
    return {
        **facts,
        "uploader": user,
        "source": f"{place}/{user}/{facts['name']}",
        "storage": catalog.hub.settings.public_store or f"{place}/blocks",
    }


def base_url(catalog: Catalog, request: Request) -> str:
    """Return the URL at which clients reach this hub."""
    return catalog.hub.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
