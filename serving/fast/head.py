"""Recognises the heads of plain reads. Pure.

It is no parser of HTTP: what does not have exactly this form is no error, but h11's affair. It
leaves no choice where a request ends or what it asks for: GET or HEAD, a path without escapes and
query, HTTP/1.1, one Host, no header twice, and none that tells of a body.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

FORM = re.compile(
    rb"(GET|HEAD) (/[A-Za-z0-9._~/+-]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+:[ -~]*\r\n)+)\r\n"
)
LINE = re.compile(r"([^:]+):([^\r]*)\r\n")
UNUSUAL = frozenset((
    *("content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer"),
    *("x-forwarded-for", "x-forwarded-proto"),  # whoever believes them must look at them
))  # fmt: skip
CONNECTION = ("keep-alive", "close")


class Head(NamedTuple):
    """A request for a file; the headers' names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def must_close(self) -> bool:
        """Return whether the client wants no further answer on this connection."""
        return self.headers.get("connection", "").lower() == "close"


def recognise(data: bytes) -> Head | None:
    """Return the request that `data` is, from its first to its last byte, or None."""
    match = FORM.fullmatch(data)
    if match is None:
        return None
    method, path, lines = (group.decode("ascii") for group in match.groups())
    rows = LINE.findall(lines)
    headers = {name.lower(): value.strip() for name, value in rows}
    is_plain = (
        len(headers) == len(rows)
        and "host" in headers
        and UNUSUAL.isdisjoint(headers)
        and headers.get("connection", "close").lower() in CONNECTION
    )
    return Head(method, path, headers) if is_plain else None
