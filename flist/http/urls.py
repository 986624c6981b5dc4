"""URLs of stores and servers: split into parts, and shown without their secrets."""

import re
from urllib.parse import SplitResult, urlsplit

from common.errors import UsageError


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


def hide_secrets(text: str) -> str:
    """Return `text` with the passwords and tokens of all URLs in it replaced by `***`."""
    text = re.sub(r"(://[^/@:\s]*):[^/\s]*@", r"\1:***@", text)
    return re.sub(r"([?&]token=)[^&'\"\s]*", r"\1***", text)
