"""Opens a flist of either format, which its first bytes tell."""

from pathlib import Path
from typing import TYPE_CHECKING, Union

from common.files import open_regular
from flist.errors import FlistError
from flist.format.database import FlistFile
from flist.format.sqlitefile import MAGIC, Check

if TYPE_CHECKING:
    from flist.format.legacy.flist import LegacyFlist

AnyFlist = Union[FlistFile, "LegacyFlist"]
GZIP = b"\x1f\x8b"


def open_unchanging(path: Path) -> AnyFlist:
    """Open `path`, to which nobody writes: without making a copy first, as `open_flist` does."""
    try:
        with open_regular(path) as stream:
            magic = stream.read(len(MAGIC))
    except OSError as error:
        raise FlistError(f"cannot open {path}: {error.strerror}") from error
    return FlistFile.open_unchanging(path) if magic == MAGIC else open_flist(path)


def open_flist(path: Path, check: Check | None = None) -> AnyFlist:
    """Open `path`; raises `FlistError` if it does not exist or is not a flist.

    This works on a copy. `check` is called with the path and the copy, and raises `FlistError` for
    a flist that must not be used. So what it has seen is what is used, whatever happens to the
    file.
    """
    try:
        with open_regular(path) as stream:
            magic = stream.read(len(GZIP))
    except OSError as error:
        is_address = path.parts[:1] in (("http:",), ("https:",))
        hint = "only `mount` takes an address; fetch it first" if is_address else None
        raise FlistError(f"cannot open {path}: {error.strerror}", hint=hint) from error
    if magic != GZIP:
        return FlistFile.open(path, check)
    from flist.format.legacy.flist import LegacyFlist

    return LegacyFlist.open(path, check)
