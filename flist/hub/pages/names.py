"""Names of files, which may be any bytes: as text, in links and in headers."""

import posixpath
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from markupsafe import Markup, escape

from common.text import escape as escape_char
from common.text import printable

UNFIT = re.compile(r"[^ !#-.0-\[\]-~]")
"""What the plain file name of a header can't hold: all but printable ASCII without " / \\."""
FALLBACK_CHARS = 150


class Crumb(NamedTuple):
    """A directory on the way to a path."""

    name: bytes
    path: bytes


def shown(name: bytes | str, kept: str = "") -> Markup:
    """Return a name as HTML: what has no shape of its own, or could turn text around, as escape.

    The characters in `kept` stay as they are.
    """
    text = name.decode(errors="surrogateescape") if isinstance(name, bytes) else name
    if text.isprintable():
        return Markup("<bdi>{}</bdi>").format(text)
    return Markup("<bdi>{}</bdi>").format(Markup("").join(mark_odd(text, kept)))


def say_plainly(name: bytes | str) -> str:
    """Return a name as text in one line, where there can be no markup: a title."""
    return printable(name.decode(errors="surrogateescape") if isinstance(name, bytes) else name)


def mark_odd(text: str, kept: str) -> list[Markup]:
    """Return the parts of a text as HTML, its unprintable characters marked."""
    parts: list[Markup] = []
    plain: list[str] = []
    for char in text:
        if char.isprintable() or char in kept:
            plain.append(char)
            continue
        parts.append(escape("".join(plain)))
        plain.clear()
        parts.append(Markup('<span class="odd">{}</span>').format(escape_char(char)))
    return [*parts, escape("".join(plain))]


def link(path: bytes | str) -> str:
    """Return a path for an address: only letters, digits, -._~ and slashes are not escaped."""
    return quote(path, safe="/")


def read_link(raw: bytes) -> bytes:
    """Return the path in a part of an address, with one slash before and none after."""
    return b"/" + unquote_to_bytes(raw).strip(b"/")


def crumbs(path: bytes) -> Sequence[Crumb]:
    """Return the directories from the root's first entry to `path`, which is the last."""
    names = [name for name in path.split(b"/") if name]
    return [Crumb(name, b"/" + b"/".join(names[: at + 1])) for at, name in enumerate(names)]


def resolve(folder: bytes, target: bytes) -> bytes:
    """Return the path that a link in `folder` leads to, if there is no other link on the way."""
    found = posixpath.normpath(posixpath.join(folder or b"/", target))
    return b"/" + found.strip(b"/")


def attach(name: bytes) -> str:
    """Return a Content-Disposition that saves a file as `name`, whatever that holds."""
    text = name.decode(errors="replace")
    text = "".join(char if char.isprintable() and char not in "/\\" else "_" for char in text)
    plain = UNFIT.sub("_", text)[:FALLBACK_CHARS]
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(text, safe='')}"
