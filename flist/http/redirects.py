"""Where a redirect may lead: to an http or https URL, never from TLS to plain text."""

from typing import TYPE_CHECKING
from urllib.parse import urljoin

from common.errors import UsageError
from flist.errors import StoreError
from flist.http.urls import split_url

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from flist.http.origin import Response

METHODS = ("GET", "HEAD")
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5
MAX_ELSEWHERE = 16
"""The redirects of one client may lead to this many other servers."""


def is_redirect(method: str, response: "Response") -> bool:
    """Return whether `response` leads elsewhere; what was sent is never sent to another place."""
    return method in METHODS and response.status in REDIRECTS and bool(response.location)


def resolve(source: str, location: str, shown: str) -> "SplitResult":
    """Return the URL that the header `Location` of the answer of `source` names.

    Raises `StoreError` about the server `shown` if that URL must not be followed.
    """
    try:
        parts = split_url(urljoin(source, location))
    except (UsageError, ValueError) as error:
        raise StoreError(f"cannot read from {shown}: it redirects to no URL") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StoreError(f"cannot read from {shown}: it redirects to {parts.scheme}:")
    if source.startswith("https:") and parts.scheme == "http":
        raise StoreError(f"cannot read from {shown}: it redirects to plain HTTP")
    return parts
