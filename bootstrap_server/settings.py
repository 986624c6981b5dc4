"""What a server is told when it starts; addresses in scripts come from here, not from requests."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bootstrap_server.errors import SettingsError

URL_MAX_CHARS = 300
PORT_MAX = 65535

# Host names, IPv4, bracketed IPv6, port, path: what can stand in a script as it is.
_URL = re.compile(
    r"https?://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one bootstrap server.

    `public_url` is where nodes reach this server, `hub_url` where they fetch their file systems;
    `releases` holds a folder `<run mode>/{vmlinuz,initramfs.zst}` for each channel. `page_url` is
    where browsers reach this server if that is elsewhere (nodes in a virtual network).
    """

    public_url: str
    hub_url: str
    releases: Path
    page_url: str = ""

    def __post_init__(self) -> None:
        """Check the addresses, and drop the slash at their ends."""
        object.__setattr__(self, "public_url", check_url(self.public_url, "public URL"))
        object.__setattr__(self, "hub_url", check_url(self.hub_url, "hub's URL"))
        object.__setattr__(self, "releases", Path(self.releases))
        page_url = check_url(self.page_url or self.public_url, "page's URL")
        object.__setattr__(self, "page_url", page_url)

    @property
    def root_path(self) -> str:
        """Return the path of the first page: "/" unless a proxy gives out this server below one."""
        return urlsplit(self.page_url).path + "/"


def check_url(text: str, what: str) -> str:
    """Return `text` without a slash at its end. Raises `SettingsError` if it is no plain URL."""
    match = _URL.fullmatch(text)
    if len(text) > URL_MAX_CHARS or not match or int((match[2] or ":0")[1:]) > PORT_MAX:
        raise SettingsError(
            f"cannot use {text[:80]!r} as the {what}",
            hint=f"http://HOST[:PORT][/PATH] or https://..., at most {URL_MAX_CHARS} characters",
        )
    return text.rstrip("/")
