"""URLs of stores and servers: their parts, their credentials, and how they are shown."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from common.errors import UsageError
from flist.model import Route

PATH_CHARACTERS = "/?#[]@!$&'()*+,;=:%~"
"""These stand in a request as they are (RFC 3986); others are percent-encoded."""


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL; raises `UsageError` if its host or port is not valid."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError as error:
        raise UsageError(f"cannot use {hide_secrets(url)!r}: {error}") from error
    if re.search(r"[\x00-\x20\x7f]", parts.netloc) or not url.isprintable():
        raise UsageError(
            f"cannot use {hide_secrets(url)!r}: no URL has such characters",
            hint="write them as % and two hex digits",
        )
    return parts


def path_of(parts: SplitResult) -> str:
    """Return path and query of a URL, as they stand in a request."""
    query = f"?{parts.query}" if parts.query else ""
    return quote(f"{parts.path or '/'}{query}", safe=PATH_CHARACTERS)


def credentials(parts: SplitResult) -> str:
    """Return the value of the Authorization header for a URL, empty if it names no user."""
    if parts.username is None and parts.password is None:
        return ""
    return basic_authorization(unquote(parts.username or ""), unquote(parts.password or ""))


def basic_authorization(user: str, password: str) -> str:
    """Return the value of the Authorization header for Basic authentication (RFC 7617)."""
    import base64

    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def hide_secrets(text: str) -> str:
    """Return `text` with the passwords and tokens of all URLs in it replaced by `***`."""
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
