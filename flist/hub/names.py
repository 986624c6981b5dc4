"""Which names repositories, flists and blocks may have."""

import re
from collections.abc import Iterable

REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FLIST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,189}\.(fl|flist)")
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,189}\.(fl|flist)(\.sig)?")
BLOCK = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}")
"""A block's id in hex; the short one is of the older format."""
DIGEST = re.compile(r"[0-9a-f]{64}")
SIGNATURE = ".sig"
SUFFIX, NEW_SUFFIX = ".flist", ".fl"
RESERVED = (
    "api", "blocks", "flists", "objects", "website",
    "upload", "upload-flist", "merge", "docker-convert", "search", "readonly", "listen",
    "login", "login-iyo", "login-method", "logout", "token",
)  # fmt: skip
"""No repository has these names: the hub has other things at their addresses."""


def is_repo(name: str) -> bool:
    """Return whether a repository may have this name."""
    return REPO.fullmatch(name) is not None and name not in RESERVED


def is_flist(name: str) -> bool:
    """Return whether a flist may have this name."""
    return FLIST.fullmatch(name) is not None


def candidates(name: str) -> Iterable[str]:
    """Return the files that a client's name may mean, the likeliest first."""
    if name.endswith((SUFFIX, NEW_SUFFIX)):
        return (name,)
    return (name + SUFFIX, name + NEW_SUFFIX)
