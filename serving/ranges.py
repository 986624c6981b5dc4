"""Conditional and range requests, RFC 9110 sections 13 and 14. Pure.

One range per request is served; a request for several gets the whole, as the RFC allows.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from common.errors import ZosError

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class UnsatisfiableError(ZosError):
    """The range lies beyond the end."""

    http_status = 416
    http_headers: Mapping[str, str] = MappingProxyType({})


def parse_range(header: str | None, size: int) -> range | None:
    """Return the bytes that a Range header asks for, or None when it asks for nothing we serve."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        if int(last) == 0 or size == 0:
            raise UnsatisfiableError("the range holds no bytes")
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None  # not a range at all: RFC 9110 says to ignore it
    if int(first) >= size:
        raise UnsatisfiableError("the range lies beyond the end")
    return range(int(first), min(size, int(last) + 1) if last else size)


def choose_range(header: str | None, if_range: str | None, etag: str, size: int) -> range | None:
    """Return the range to serve, or None for the whole: If-Range must name exactly this content."""
    if if_range is not None and if_range.strip() != etag:
        return None
    return parse_range(header, size)


def is_match(header: str | None, etag: str) -> bool:
    """Return whether an If-None-Match header names `etag` (compared weakly, as it must be)."""
    if header is None:
        return False
    tags = (tag.strip().removeprefix("W/") for tag in header.split(","))
    return any(tag in ("*", etag) for tag in tags)
