"""Whiteouts: names in a layer that hide names of lower layers.

Source: OCI image specification 1.1, "Image Layer Filesystem Changeset".
"""

from typing import NamedTuple

from flist.archive.paths import Path, parse_path
from flist.oci.errors import ImageError

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
AUFS = b".wh..wh."


class Name(NamedTuple):
    """The path of an entry, and what its last component means: with `removes`, `path` is the
    directory that hides that name."""

    path: Path
    removes: bytes | None = None
    is_opaque: bool = False
    is_ignored: bool = False


def parse_name(raw: bytes) -> Name:
    """Return the meaning of an entry's name; a whiteout is recognized by its name only."""
    path = parse_path(raw)
    last = path[-1] if path else b""
    if not last.startswith(WHITEOUT):
        if any(word.startswith(WHITEOUT) for word in path):
            return Name(path, is_ignored=True)  # in such directories, aufs keeps data of its own
        return Name(path)
    if last == OPAQUE:
        return Name(path[:-1], is_opaque=True)
    if last.startswith(AUFS):
        return Name(path, is_ignored=True)
    removed = last.removeprefix(WHITEOUT)
    if removed in (b"", b".", b".."):
        shown = raw[:200].decode(errors="replace")
        raise ImageError(f"the image is refused: a whiteout has an invalid name: {shown!r}")
    return Name(path[:-1], removes=removed)
