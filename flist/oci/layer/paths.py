"""What a path in a layer may be, and what a whiteout says."""

from typing import NamedTuple

from flist.model import NAME_MAX_BYTES
from flist.oci.errors import ImageError

PATH_MAX_BYTES = 4096
WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
AUFS = b".wh..wh."
Path = tuple[bytes, ...]


class Name(NamedTuple):
    """Where an entry goes, and what its last word means."""

    path: Path
    removes: bytes | None = None
    is_opaque: bool = False
    is_ignored: bool = False


def parse_path(raw: bytes) -> Path:
    """Return the words of a path, all below the root; raises `ImageError` for what leads out."""
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
    """Return what the name of an entry says; whiteouts are names, whatever their type."""
    path = parse_path(raw)
    last = path[-1] if path else b""
    if not last.startswith(WHITEOUT):
        if any(word.startswith(WHITEOUT) for word in path):
            return Name(path, is_ignored=True)  # aufs keeps its own things in such folders
        return Name(path)
    if last == OPAQUE:
        return Name(path[:-1], is_opaque=True)
    if last.startswith(AUFS):
        return Name(path, is_ignored=True)
    removed = last.removeprefix(WHITEOUT)
    if removed in (b"", b".", b".."):
        shown = raw[:200].decode(errors="replace")
        raise ImageError(f"the image is refused: a whiteout removes nothing proper: {shown!r}")
    return Name(path[:-1], removes=removed)
