"""The URLs of stores and servers: taken apart, and shown without their secrets."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit, urlunsplit

from common.errors import UsageError
from flist.model import Route


def split_url(url: str) -> SplitResult:
    """Return the parts of an URL; raises `UsageError` if its host or port can't be one."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError as error:
        raise UsageError(f"cannot open store {hide_secrets(url)!r}: {error}") from error
    if re.search(r"[\x00-\x20\x7f]", parts.netloc) or not url.isprintable():
        raise UsageError(
            f"cannot open store {hide_secrets(url)!r}: no URL has such characters",
            hint="write them as % and two hex digits",
        )
    return parts


def hide_secrets(text: str) -> str:
    """Return `text` with the passwords and tokens of URLs in it replaced."""
    text = re.sub(r"(://[^/@:\s]*):[^/\s]*@", r"\1:***@", text)
    return re.sub(r"([?&]token=)[^&'\"\s]*", r"\1***", text)


def strip_password(url: str) -> str:
    """Return `url` without its password or token.

    An S3 key id without its secret is not confidential and stays.
    """
    if url.startswith("server://"):
        return re.sub(r"([?&])token=[^&]*(&|$)", r"\1", url).rstrip("?&")
    parts = urlsplit(url)
    user, colon, _ = parts.netloc.rpartition("@")[0].partition(":")
    if not colon:
        return url
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{user}@{host}" if user else host
    return urlunsplit(parts._replace(netloc=netloc))


def strip_passwords(routes: Iterable[Route]) -> list[Route]:
    """Return `routes` as they are written into a flist: without passwords and tokens."""
    return [route._replace(url=strip_password(route.url)) for route in routes]
