"""The metadata of a flist, as 0-hub shows it."""

import json
from urllib.parse import unquote, urlsplit

from flist.format.legacy.flist import LegacyFlist
from flist.format.opening import AnyFlist

PARSED = ("backend", "entrypoint", "environ", "port", "volume", "readme")
"""Metadata that is JSON; the other keys are text."""
DEFAULT_PORT = 9900


def read_metadata(flist: AnyFlist, store: str) -> dict[str, object]:
    """Return the metadata of a flist: of the older format as its tools wrote it, else its tags.

    Its backend is the zdb at the URL `store`, if there is one.
    """
    texts = flist.metadata if isinstance(flist, LegacyFlist) else flist.tags()
    found = {key: parse(key, text) for key, text in texts.items()}
    backend = read_backend(store)
    return {**found, "backend": backend} if backend else found


def parse(key: str, text: str) -> object:
    """Return one value of the metadata; JSON that is damaged is shown as text."""
    if key not in PARSED:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def read_backend(url: str) -> dict[str, object] | None:
    """Return the backend that upstream's clients are told: a zdb, or none."""
    parts = urlsplit(url)
    if parts.scheme != "zdb" or not parts.hostname:
        return None
    namespace = unquote(parts.path.strip("/")) or "default"
    return {"namespace": namespace, "host": parts.hostname, "port": parts.port or DEFAULT_PORT}
