"""Blocks below ASGI: what nodes ask for most, named by its content.

Nothing is remembered of files, so a block that was removed is not found any more.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from serving.content import FileOpener
from serving.fast.cycle import Finder, Found
from serving.fast.head import Head

ADDRESS = re.compile(r"/(?:(blocks)/(?:([0-9a-f]{2})/)?|api/v1/block/)([0-9a-f]{64})")
BINARY = "application/octet-stream"
NEVER_CHANGES = "public, max-age=31536000, immutable"
HEADERS = {"Cache-Control": NEVER_CHANGES}


class Place(NamedTuple):
    """Where a block is, and the route that an address of it belongs to."""

    name: str
    path: Path
    route: str


def block_path(blocks: Path, address: str) -> Place | None:
    """Return where the block is that an address names; None: the address names none."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        return None
    is_plain, prefix, name = match.groups()
    if prefix not in (None, name[:2]):
        return None
    short = "/blocks/{name}" if is_plain else "/api/v1/block/{name}"
    return Place(name, blocks / name[:2] / name, "/blocks/{prefix}/{name}" if prefix else short)


def make_finder(blocks: Path, opener: FileOpener, count: Callable[[str], None]) -> Finder:
    """Return what finds the block that a request asks for; `count` gets the name of each."""

    def find(head: Head) -> Found | None:
        place = block_path(blocks, head.path)
        if place is None:
            return None
        try:
            content = opener.open(place.path, f'"{place.name}"')
        except OSError:  # it is not there, is in another layout, or the system refuses it
            return None
        if head.method == "GET":
            count(place.name)
        return Found(content, place.route, BINARY, HEADERS)

    return find
