"""What nodes ask for most, below ASGI: blocks, and flists whose digest is known.

Nothing else is remembered of files, so what was removed is not found any more.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from flist.hub.library import FILE, Library, is_repo
from serving.content import FileOpener, OpenFile, open_named
from serving.fast.cycle import Finder, Found
from serving.fast.head import Head

BLOCK_ADDRESS = re.compile(r"/(?:(blocks)/(?:([0-9a-f]{2})/)?|api/v1/block/)([0-9a-f]{64})")
FLIST_ADDRESS = re.compile(r"(/flists)?/([^/]+)/([^/]+)")
BINARY = "application/octet-stream"
NEVER_CHANGES = "public, max-age=31536000, immutable"
HEADERS = {"Cache-Control": NEVER_CHANGES}


class Place(NamedTuple):
    """Where a file is, and the route that an address of it belongs to."""

    name: str
    path: str
    route: str


def block_path(blocks: str, address: str) -> Place | None:
    """Return where the block is that an address names; None: the address names none."""
    match = BLOCK_ADDRESS.fullmatch(address)
    if match is None:
        return None
    is_plain, prefix, name = match.groups()
    if prefix not in (None, name[:2]):
        return None
    short = "/blocks/{name}" if is_plain else "/api/v1/block/{name}"
    path = f"{blocks}/{name[:2]}/{name}"
    return Place(name, path, "/blocks/{prefix}/{name}" if prefix else short)


def flist_path(flists: str, address: str) -> Place | None:
    """Return where the flist or signature is that an address names, or None."""
    match = FLIST_ADDRESS.fullmatch(address)
    if match is None or not is_repo(match[2]) or not FILE.fullmatch(match[3]):
        return None
    return Place(match[3], f"{flists}/{match[2]}/{match[3]}", f"{match[1] or ''}/{{repo}}/{{name}}")


def choose_type(name: str) -> str:
    """Return the media type of a flist or signature."""
    return "text/plain; charset=utf-8" if name.endswith(".sig") else BINARY


def make_finder(library: Library, opener: FileOpener, count: Callable[[str], None]) -> Finder:
    """Return what finds the file that a request asks for; `count` gets each block's name."""
    blocks, flists = str(library.blocks), str(library.flists)

    def find(head: Head) -> Found | None:
        block = block_path(blocks, head.path)
        if block:
            content = open_or_none(lambda: open_named(block.path, f'"{block.name}"'))
            if content and head.method == "GET":
                count(block.name)
            return Found(content, block.route, BINARY, HEADERS) if content else None
        flist = flist_path(flists, head.path)
        content = flist and open_or_none(lambda: opener.open_known(flist.path))
        if not flist or not content:
            return None
        return Found(content, flist.route, choose_type(flist.name), {})

    return find


def open_or_none(opener: Callable[[], OpenFile | None]) -> OpenFile | None:
    """Open a file; None if it is not there, is in another layout, or the system refuses it."""
    try:
        return opener()
    except OSError:
        return None
