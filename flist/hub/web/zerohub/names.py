"""The names of 0-hub's clients, and the files of a repository that they mean."""

import re
import unicodedata
from collections.abc import Container
from pathlib import PurePosixPath

from flist.hub.errors import HubError
from flist.hub.names import NEW_SUFFIX, SUFFIX, candidates

ARCHIVE = ".tar.gz"
SEPARATORS = re.compile(r"[/\\]")
DROPPED = re.compile(r"[^A-Za-z0-9_.-]")
EDGES = "._-"
MAX_NAME = 180


def secure_name(text: str) -> str:
    """Return a file name made of what a client sent: upstream's rule, so that names stay equal.

    Accents become ASCII, blanks and separators `_`, other signs are dropped; it may end up empty.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    joined = "_".join(SEPARATORS.sub(" ", plain).split())
    return DROPPED.sub("", joined).strip(EDGES)


def archive_target(sent: str, original: str, suffix: str = SUFFIX) -> str:
    """Return the name of the flist of an uploaded archive; `original` is X-Original-Name."""
    return checked(choose(sent, original, ARCHIVE).removesuffix(ARCHIVE) + suffix)


def flist_target(sent: str, original: str) -> str:
    """Return the name of an uploaded flist: its own, of either format."""
    suffix = NEW_SUFFIX if sent.endswith(NEW_SUFFIX) else SUFFIX
    return checked(with_suffix(choose(sent, original, suffix)))


def choose(sent: str, original: str, suffix: str) -> str:
    """Return the secure name of an upload. Raises `HubError` in upstream's words."""
    if not sent:
        raise HubError("no file selected")
    if not sent.endswith(suffix):
        raise HubError("this file is not allowed")
    return secure_name(PurePosixPath(original).name if original else sent)


def checked(name: str) -> str:
    """Return `name` if something is left of it, and it is not too long. Raises `HubError`."""
    if name.startswith(".") or len(name) > MAX_NAME:
        raise HubError("this file is not allowed")
    return name


def with_suffix(name: str, suffix: str = SUFFIX) -> str:
    """Return the name of a flist that a client may have written without its suffix."""
    return name if name.endswith((SUFFIX, NEW_SUFFIX)) else name + suffix


def pick(name: str, known: Container[str]) -> str | None:
    """Return the file in `known` that a client's name means, or None."""
    return next((file for file in candidates(name) if file in known), None)
