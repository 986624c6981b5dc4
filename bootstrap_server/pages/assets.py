"""The pages' style sheet and script, each under a name that changes with its content.

A page names exactly the version that belongs to it, so a browser may keep that for ever, and never
shows a page of a new release with the style of an old one.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from serving.content import Pieces

MEDIA_TYPES = {"style.css": "text/css", "page.js": "text/javascript"}
DIGEST_CHARS = 16


@dataclass(frozen=True)
class Asset:
    """One file; `address` is the one that changes with its content."""

    name: str
    content: Pieces
    digest: str

    @property
    def media_type(self) -> str:
        """Return its media type."""
        return MEDIA_TYPES[self.name]

    @property
    def address(self) -> str:
        """Return its address below the server's root."""
        stem, _, suffix = self.name.partition(".")
        return f"{stem}-{self.digest}.{suffix}"


@cache
def load_asset(name: str) -> Asset:
    """Return a file of `MEDIA_TYPES`."""
    data = files("bootstrap_server").joinpath("pages", "templates", name).read_bytes()
    whole = hashlib.sha256(data).hexdigest()
    return Asset(name, Pieces((memoryview(data),), f'"{whole}"'), whole[:DIGEST_CHARS])


def name_asset(name: str) -> str:
    """Return the address of a file, for templates."""
    return load_asset(name).address
