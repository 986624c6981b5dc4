"""The pages of what is in a flist: directories, files, differences between versions."""

import contextlib
from typing import Any

from fastapi import APIRouter, Query, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from flist.errors import FlistError
from flist.hub.errors import AbsentError
from flist.hub.library.values import Version
from flist.hub.pages.browse import Page, describe, list_folder, search
from flist.hub.pages.changes import compare
from flist.hub.pages.names import attach, crumbs, link, read_link
from flist.hub.pages.sending import FileContent
from flist.hub.pages.sniff import TEXT_BYTES, Preview, find_image, make_preview
from flist.hub.web.pages.reading import READ, TEXT_CHARS, list_versions
from flist.hub.web.pages.shared import PRIVATE, ROOT, Asked, Desk, find_asked, show
from flist.model import Inode
from flist.mount.tree import Tree
from serving.respond import send_content

AFTER = Query(0, ge=0, lt=1 << 40)
XATTR_CHARS = 100
FILES_PARTS = 4  # of an address, before the path in the flist
NOTHING = "default-src 'none'; sandbox"
FILE_HEADERS = {
    "Content-Security-Policy": NOTHING,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": PRIVATE,
}


class Anything(Convertor[str]):
    """The rest of an address, with newlines: file names may have them."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        """Return the text."""
        return value

    def to_string(self, value: str) -> str:
        """Return the text."""
        return value


register_url_convertor("anything", Anything())


def make_router(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False, default_response_class=Response)

    @router.api_route("/{repo}/{name}/files", methods=READ)
    @router.api_route("/{repo}/{name}/files/{path:anything}", methods=READ)
    async def files(
        request: Request, repo: str, name: str, version: str = "", q: str = "", after: int = AFTER
    ) -> Response:
        """Show a directory, a file, or what was searched."""
        text = q.strip()[:TEXT_CHARS]
        return await desk.pool.run(show_files, desk, request, (repo, name, version), text, after)

    @router.api_route("/{repo}/{name}/raw/{path:anything}", methods=READ)
    async def raw(
        request: Request, repo: str, name: str, version: str = "", show: str = ""
    ) -> Response:
        """Return the content of a file: to be saved, or if it is an image, to be shown."""
        place = (repo, name, version)
        return await desk.pool.run(send_file, desk, request, place, is_shown=bool(show))

    @router.api_route("/{repo}/{name}/changes", methods=READ)
    async def changes(
        request: Request,
        repo: str,
        name: str,
        old: str = Query("", alias="from"),
        new: str = Query("", alias="to"),
        after: str = "",
    ) -> Response:
        """Show the differences between two versions."""
        return await desk.pool.run(show_changes, desk, request, (repo, name, new), old, after)

    return router


def show_files(
    desk: Desk, request: Request, place: tuple[str, str, str], text: str, after: int
) -> Response:
    """Return the page of a directory, of a file, or of a search."""
    asked, path = find_asked(desk, request, *place), path_of(request)
    with desk.open(asked.asking, asked.version.digest) as tree:
        if text:
            return show_search(request, asked, tree, text, after)
        inode = find_inode(tree, path)
        if inode.is_dir:
            return show_folder(request, asked, tree, path, inode, after)
        return show_file(desk, request, asked, tree, path, inode)


def path_of(request: Request) -> bytes:
    """Return the path in the flist that an address names, byte for byte."""
    raw: bytes = request.scope["raw_path"].partition(b"?")[0]
    return read_link(b"/".join(raw.split(b"/")[FILES_PARTS:]))


def find_inode(tree: Tree, path: bytes) -> Inode:
    """Return the inode at a path. Raises `AbsentError`."""
    try:
        return tree.find(path)
    except FileNotFoundError as error:
        raise AbsentError("there is no such file in this flist") from error


def common(asked: Asked, path: bytes, text: str = "") -> dict[str, Any]:
    """Return what the pages of files have in common."""
    way = crumbs(path)
    return {
        "here": "",
        "entry": asked.entry,
        "at_version": asked.at_version,
        "asked": asked.version.digest if asked.is_named else "",
        "path": path,
        "crumbs": way,
        "parent": way[-2].path if len(way) > 1 else b"/",
        "text": text,
    }


def page_links(asked: Asked, page: Page, after: int, text: str) -> dict[str, Any]:
    """Return the queries of the first and the next page."""
    first = {"version": asked.version.digest} if asked.is_named else {}
    if text:
        first["q"] = text
    following = {**first, "after": page.following}
    return {"page": page, "after": after, "first": first, "next": following}


def show_folder(
    request: Request, asked: Asked, tree: Tree, path: bytes, inode: Inode, after: int
) -> Response:
    """Return the page of a directory."""
    page = list_folder(tree, path, inode, after)
    values = {**common(asked, path), **page_links(asked, page, after, "")}
    return show(request, "files.html", **values)


def show_search(request: Request, asked: Asked, tree: Tree, text: str, after: int) -> Response:
    """Return the entries with a text in their name."""
    page = search(tree, text, after)
    values = {**common(asked, b"/", text), **page_links(asked, page, after, text)}
    return show(request, "files.html", **values)


def show_file(
    desk: Desk, request: Request, asked: Asked, tree: Tree, path: bytes, inode: Inode
) -> Response:
    """Return the page of what is no directory."""
    preview, error = None, ""
    if inode.is_file:
        try:
            preview = preview_file(desk, tree, inode)
        except FlistError:
            error = "its content cannot be read at the moment"
    shown = {"show": "1", **({"version": asked.version.digest} if asked.is_named else {})}
    return show(
        request,
        "file.html",
        row=describe(tree, path, inode),
        size=inode.size if inode.is_file else 0,
        links=tree.link_count(inode),
        xattrs=[(name, value[:XATTR_CHARS]) for name, value in tree.meta(inode).xattrs],
        preview=preview,
        raw=f"{ROOT}{asked.place}/raw{link(path)}",
        shown_query=shown,
        error=error,
        **common(asked, path),
    )


def preview_file(desk: Desk, tree: Tree, inode: Inode) -> Preview:
    """Return what to show of a file: only its beginning is read."""
    head = desk.reader(tree).read(inode, TEXT_BYTES + 1, 0)
    return make_preview(head, inode.size)


def send_file(
    desk: Desk, request: Request, place: tuple[str, str, str], *, is_shown: bool
) -> Response:
    """Return the content of a file. Nothing of it is ever run by a browser."""
    asked, path = find_asked(desk, request, *place), path_of(request)
    with contextlib.ExitStack() as stack:
        tree = stack.enter_context(desk.open(asked.asking, asked.version.digest))
        inode = find_inode(tree, path)
        if not inode.is_file:
            raise AbsentError("this is no file")
        reader = desk.reader(tree)
        head = reader.read(inode, TEXT_BYTES, 0)  # a missing block is told before anything is sent
        image = find_image(head) if is_shown else ""
        headers = dict(FILE_HEADERS)
        if not image:
            headers["Content-Disposition"] = attach(inode.name)
        etag = f'"{asked.version.digest}-{inode.content_ino}"'
        content = FileContent(reader, inode, etag, stack.pop_all())
        return send_content(request, content, image or "application/octet-stream", headers)


def find_before(desk: Desk, asked: Asked, digest: str) -> Version:
    """Return the version with this digest, without one the version before the asked one."""
    place = asked.entry.repository, asked.entry.name
    if digest:
        return desk.hub.flists.find_version(asked.asking, *place, digest)
    every = list_versions(desk.hub.flists.history(asked.asking, *place))
    before = next(row["before"] for row in every if row["version"].digest == asked.version.digest)
    if not before:
        raise AbsentError("there is no version before this one")
    return desk.hub.flists.find_version(asked.asking, *place, before)


def show_changes(
    desk: Desk, request: Request, place: tuple[str, str, str], old: str, after: str
) -> Response:
    """Return the page of the differences between two versions of a flist."""
    asked = find_asked(desk, request, *place)
    before = find_before(desk, asked, old)
    with (
        desk.open(asked.asking, before.digest) as old_tree,
        desk.open(asked.asking, asked.version.digest) as new_tree,
    ):
        changes = compare(old_tree, new_tree, read_link(after.encode()) if after else b"")
    following = {
        "from": before.digest,
        "to": asked.version.digest,
        "after": link(changes.following),
    }
    return show(
        request,
        "changes.html",
        here="",
        entry=asked.entry,
        old=before,
        new=asked.version,
        changes=changes,
        after=after,
        next=following,
    )
