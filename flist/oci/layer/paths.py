"""Paths in a layer, and whiteouts.

Source: OCI image specification 1.1, "Image Layer Filesystem Changeset".
"""

from typing import NamedTuple

from flist.model import NAME_MAX_BYTES
from flist.oci.errors import ImageError

PATH_MAX_BYTES = 4096
WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
AUFS = b".wh..wh."
Path = tuple[bytes, ...]


class Name(NamedTuple):
    """The path of an entry, and what its last component means: with `removes`, `path` is the
    directory that hides that name."""

    path: Path
    removes: bytes | None = None
    is_opaque: bool = False
    is_ignored: bool = False


def parse_path(raw: bytes) -> Path:
    """Return the components of a path below the root; raises `ImageError` for an invalid path."""
    words = tuple(word for word in raw.split(b"/") if word not in (b"", b"."))
    shown = raw[:200].decode(errors="replace")
    if len(raw) > PATH_MAX_BYTES or any(len(word) > NAME_MAX_BYTES for word in words):
        raise ImageError(f"the image is refused: a layer holds a path that is too long: {shown!r}")
    if b".." in words:
        raise ImageError(f"the image is refused: a layer's path leads out of it: {shown!r}")
    if b"\0" in raw:
        raise ImageError(f"the image is refused: a layer's path holds a NUL: {shown!r}")
    return words


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
