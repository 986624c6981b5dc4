"""Paths in an archive."""

from flist.archive.errors import ArchiveError
from flist.model import NAME_MAX_BYTES

PATH_MAX_BYTES = 4096
Path = tuple[bytes, ...]


def parse_path(raw: bytes) -> Path:
    """Return the components of a path below the root; raises `ArchiveError` for an invalid path."""
    words = tuple(word for word in raw.split(b"/") if word not in (b"", b"."))
    shown = raw[:200].decode(errors="replace")
    if len(raw) > PATH_MAX_BYTES or any(len(word) > NAME_MAX_BYTES for word in words):
        raise ArchiveError(f"the archive is refused: it holds a path that is too long: {shown!r}")
    if b".." in words:
        raise ArchiveError(f"the archive is refused: a path leads out of it: {shown!r}")
    if b"\0" in raw:
        raise ArchiveError(f"the archive is refused: a path holds a NUL: {shown!r}")
    return words


def show(path: Path) -> str:
    """Return a path for a message."""
    return repr(b"/".join(path)[:200].decode(errors="replace"))
