"""Names of images: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, with the defaults of Docker Hub.

Source: the grammar of the distribution project's `reference` package and the OCI distribution
specification.
"""

import re
from typing import NamedTuple

from common.errors import UsageError
from flist.oci.digest import Digest, parse_digest
from flist.oci.errors import ImageError

DEFAULT_REGISTRY = "docker.io"
HUB_ALIASES = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io"))
HUB_ENDPOINT = "registry-1.docker.io"
MAX_NAME = 255
HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)(:[0-9]{1,5})?")
PATH = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Reference(NamedTuple):
    """An image in a registry; `digest` takes precedence over `tag`."""

    registry: str
    repository: str
    tag: str | None
    digest: Digest | None

    @property
    def endpoint(self) -> str:
        """HOST[:PORT] of the registry's API."""
        return HUB_ENDPOINT if self.registry in HUB_ALIASES else self.registry

    @property
    def target(self) -> str:
        """The digest or tag to request from the registry."""
        return str(self.digest) if self.digest else self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}" + (
            f"@{self.digest}" if self.digest else ""
        )


def parse_reference(text: str) -> Reference:
    """Return the reference in `text`; raises `UsageError`."""
    rest, at, digest_text = text.partition("@")
    digest = parse_digest(digest_text) if at else None
    registry, rest = split_registry(rest)
    path, colon, tag = rest.partition(":")
    if registry in HUB_ALIASES and "/" not in path:
        path = f"library/{path}"
    if not PATH.fullmatch(path) or len(path) > MAX_NAME:
        raise bad_name(text, f"{path!r} is not a repository")
    if colon and not TAG.fullmatch(tag):
        raise bad_name(text, f"{tag!r} is not a tag")
    return Reference(registry, path, tag or (None if digest else "latest"), digest)


def split_registry(text: str) -> tuple[str, str]:
    """Return the registry's host and the rest; a first part without a dot or port is not a host."""
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        if not HOST.fullmatch(first):
            raise bad_name(text, f"{first!r} is not a host")
        return DEFAULT_REGISTRY if first in HUB_ALIASES else first, rest
    return DEFAULT_REGISTRY, text


def is_same(name: str, known: str) -> bool:
    """Return whether two names mean the same image, such as `redis:7` and
    `docker.io/library/redis:7`."""
    full = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    return (
        known.endswith(f"/{full}")
        or full.endswith(f":{known}")
        or full_name(known) == full_name(full)
    )


def full_name(name: str) -> str:
    """Return an image's full name, or `name` itself if it is not a valid one."""
    try:
        return str(parse_reference(name))
    except (UsageError, ImageError):
        return name


def bad_name(text: str, reason: str) -> UsageError:
    """Return the error for an invalid name."""
    return UsageError(
        f"cannot read image name {text!r}: {reason}", hint="for example redis:7 or ghcr.io/a/b:1.0"
    )


def flist_name(image: str) -> str:
    """Return upstream's file name for the flist of `image`."""
    full = image if ":" in image else f"{image}:latest"
    return re.sub(r"[:/]", "-", full) + ".fl"
