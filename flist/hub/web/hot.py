"""What nodes ask for most, below ASGI: blocks, and the flists of a plain folder.

Of files nothing is remembered but digests, so what was removed is not found any more. On a hub with
accounts only those blocks are answered here that are known to be open to everybody, to requests
that carry no credentials; whoever sends some is told if they are wrong.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from flist.hub.folder.library import Library
from flist.hub.library.hub import Hub
from flist.hub.names import FILE, SIGNATURE, is_repo
from flist.hub.web.shared import BINARY, NEVER_CHANGES, TEXT
from flist.store.folder import FolderStore
from serving.content import FileOpener, OpenFile, open_named
from serving.fast.cycle import Finder, Found
from serving.fast.head import Head

BLOCK_ADDRESS = re.compile(r"/(?:(blocks)/(?:([0-9a-f]{2})/)?|api/v1/block/)([0-9a-f]{64})")
FLIST_ADDRESS = re.compile(r"(/flists)?/([^/]+)/([^/]+)")
HEADERS = {"Cache-Control": NEVER_CHANGES}
CREDENTIALS = frozenset(("authorization", "cookie"))


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


def find_block(blocks: str, head: Head, count: Callable[[str], None]) -> Found | None:
    """Return the block that a request asks for; `count` gets its name."""
    place = block_path(blocks, head.path)
    content = place and open_or_none(lambda: open_named(place.path, f'"{place.name}"'))
    if not place or not content:
        return None
    if head.method == "GET":
        count(place.name)
    return Found(content, place.route, BINARY, HEADERS)


def find_in_folder(library: Library, opener: FileOpener, count: Callable[[str], None]) -> Finder:
    """Return what finds the files of a plain folder; `count` gets each block's name."""
    blocks, flists = str(library.blocks), str(library.flists)

    def find(head: Head) -> Found | None:
        found = find_block(blocks, head, count)
        if found:
            return found
        place = flist_path(flists, head.path)
        content = place and open_or_none(lambda: opener.open_known(place.path))
        if not place or not content:
            return None
        kind = TEXT if place.name.endswith(SIGNATURE) else BINARY
        return Found(content, place.route, kind, {})

    return find


def find_in_hub(hub: Hub, count: Callable[[str], None]) -> Finder | None:
    """Return what finds the open blocks of a hub whose store is a folder of this machine."""
    store = hub.store
    if not isinstance(store, FolderStore) or store.is_flat:
        return None
    blocks = str(store.root)

    def find(head: Head) -> Found | None:
        if not CREDENTIALS.isdisjoint(head.headers):
            return None
        place = block_path(blocks, head.path)
        if not place or not hub.readers.is_known_open(bytes.fromhex(place.name)):
            return None
        return find_block(blocks, head, count)

    return find


def open_or_none(opener: Callable[[], OpenFile | None]) -> OpenFile | None:
    """Open a file; None if it is not there, is in another layout, or the system refuses it."""
    try:
        return opener()
    except OSError:
        return None
