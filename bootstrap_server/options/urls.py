"""URLs that may stand in a script: their characters mean nothing to iPXE, a shell or HTML."""

import re

URL_MAX_CHARS = 300
PORT_MAX = 65535

# Host names, IPv4, bracketed IPv6, port, path: what can stand in a script as it is.
_URL = re.compile(
    r"https?://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?"
)
FORM = "http://HOST[:PORT][/PATH] or https://..."


def plain_url(text: str) -> str | None:
    """Return `text` without a slash at its end, or None if it is not a plain URL."""
    match = _URL.fullmatch(text)
    if len(text) > URL_MAX_CHARS or not match or int((match[2] or ":0")[1:]) > PORT_MAX:
        return None
    return text.rstrip("/")
