"""What an image is made for: one value with a canonical form.

An `Options` can only be made of checked parts, and every part consists of characters that have no
special meaning in iPXE, a shell, HTML or a URL's query. Scripts and pages can therefore contain
them unescaped.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.options.network import Network
from bootstrap_server.options.parameters import SLASH, check_allowed, check_parameters, name_of
from bootstrap_server.options.urls import FORM, plain_url
from common.farms import FARM_MAX
from common.runmodes import RUN_MODES

MARK_CHARS = 8
MIRRORS_MAX = 4
CONSOLES_MAX = 4
FARM_KEY_BYTES = 32

POSITIONS = ("runmode", "farm", "extra", "kernel")
"""The parts of an address's path, after upstream; each can be in the query instead."""

_PLAIN = ":,=@+"  # the characters of a parameter that are not special in a URL's path
_FARM = re.compile(r"[1-9][0-9]{0,9}")
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_CONSOLE = re.compile(r"(tty[0-9]{1,2}|tty(S|AMA|USB)[0-9]{1,2}(,[0-9]{3,7}([noe][5-8]r?)?)?)")


@dataclass(frozen=True, slots=True)
class Options:
    """One personalised boot.

    `farm` is None for a node that belongs to no farm yet. `release` names an older release of the
    run mode, or a kernel of the operator's; empty, a node boots what the run mode holds. `mirrors`
    are tried before the server itself. `console` replaces the consoles that Linux has by default.
    `farm_key` is the farm's public key: callers of the node's API need certificates by it.
    """

    run_mode: str
    farm: int | None = None
    parameters: tuple[str, ...] = ()
    release: str = ""
    network: Network = field(default_factory=Network)
    mirrors: tuple[str, ...] = ()
    console: tuple[str, ...] = ()
    farm_key: str = ""

    def __post_init__(self) -> None:
        """Check every part. Raises `NotThereError` (run mode) or `InputError` (the rest)."""
        parse_run_mode(self.run_mode)
        if self.farm is not None:
            parse_farm(str(self.farm))
        check_parameters(self.parameters)
        if self.network.vlan and any(name_of(word) == "vlan:priv" for word in self.parameters):
            raise InputError("vlan", "the kernel parameter vlan:priv names a VLAN, too")
        if self.release and not is_release(self.release):
            raise InputError("kernel", "a release's name holds only A-Z, a-z, 0-9 and . _ + -")
        object.__setattr__(self, "mirrors", tuple(map(parse_mirror, self.mirrors)))
        check_list("mirror", self.mirrors, MIRRORS_MAX)
        for console in self.console:
            if not _CONSOLE.fullmatch(console):
                raise InputError("console", "a console is one like tty0 or ttyS1,115200n8")
        check_list("console", self.console, CONSOLES_MAX)
        if self.farm_key:
            check_farm_key(self.farm_key)

    def as_mapping(self) -> dict[str, object]:
        """Return what was chosen, by its names in a URL, a form, JSON and TOML."""
        every: dict[str, object] = {
            "runmode": self.run_mode,
            "farm": self.farm,
            "extra": list(self.parameters),
            "kernel": self.release,
            **self.network.as_mapping(),
            "mirror": list(self.mirrors),
            "console": list(self.console),
            "farm_key": self.farm_key,
        }
        return {key: value for key, value in every.items() if value not in (None, "", [])}

    @property
    def identity(self) -> str:
        """Return the SHA-256 of the canonical JSON: equal options have the same, others another."""
        text = json.dumps(self.as_mapping(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def path(self) -> str:
        """Return the path and the query of this boot below /<kind>/, quoted for a URL."""
        rest = self.as_mapping()
        parts = []
        for name in POSITIONS:
            if name not in rest or (name == "extra" and not is_for_path(self.parameters)):
                break
            value = rest.pop(name)
            # Clients resolve "/../" before they send an address, hence no slash.
            text = " ".join(value).replace("/", SLASH) if isinstance(value, list) else str(value)
            parts.append(quote(text, safe=_PLAIN))
        query = {key: value for key, value in rest.items() if key != "extra"}
        if "extra" in rest:
            query["extra"] = " ".join(self.parameters)
        text = urlencode(query, doseq=True, quote_via=quote, safe=":,=@")
        return "/".join(parts) + (f"?{text}" if text else "")

    @property
    def file_name(self) -> str:
        """Return the name, without a suffix, under which a browser should save an image.

        Images with other options have another name.
        """
        farm = "" if self.farm is None else f"-farm{self.farm}"
        is_marked = self != Options(self.run_mode, self.farm)
        mark = f"-{self.identity[:MARK_CHARS]}" if is_marked else ""
        return f"zero-os-{self.run_mode}{farm}{mark}"

    def check_allowed(self, parameters: Iterable[str] = (), mirrors: Iterable[str] = ()) -> None:
        """Raise `InputError` for what needs an operator's permission and does not have it.

        `parameters` are names beside the documented ones. A mirror decides what a node boots, so
        an address can choose only among the server's own.
        """
        check_allowed(self.parameters, parameters)
        known = set(mirrors)
        for mirror in self.mirrors:
            if mirror not in known:
                raise InputError(
                    "mirror",
                    f"this server has no mirror {mirror}",
                    hint="its operator can add it: --mirror URL",
                )


def is_release(text: str) -> bool:
    """Return whether `text` can be the name of a release or of a kernel."""
    return bool(_RELEASE.fullmatch(text))


def is_for_path(parameters: tuple[str, ...]) -> bool:
    """Return whether parameters survive in a path, where "_/" would be read as "/_"."""
    return not any("_/" in word for word in parameters)


def check_list(name: str, values: tuple[str, ...], most: int) -> None:
    """Raise `InputError` if there are too many values, or one of them twice."""
    if len(values) > most:
        raise InputError(name, f"more than {most} values")
    if len(set(values)) < len(values):
        raise InputError(name, "one value is there twice")


def parse_run_mode(text: str) -> str:
    """Return `text` if it is one of `RUN_MODES`."""
    if text not in RUN_MODES:
        raise NotThereError(
            "there is no such run mode", hint="the run modes are " + ", ".join(RUN_MODES)
        )
    return text


def parse_farm(text: str) -> int:
    """Return the number of a farm: decimal ASCII digits without sign or leading zero, a uint32."""
    if not _FARM.fullmatch(text) or int(text) > FARM_MAX:
        raise InputError(
            "farm",
            f"a farm number is a whole number from 1 to {FARM_MAX}, in plain digits",
            hint="your farm's page in the dashboard shows it",
        )
    return int(text)


def check_farm_key(text: str) -> None:
    """Raise `InputError` unless `text` is 32 bytes in base64url, in their one form."""
    try:
        data = base64.b64decode(f"{text}=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    plain = base64.urlsafe_b64encode(data).decode().rstrip("=")
    if len(data) != FARM_KEY_BYTES or plain != text:
        raise InputError(
            "farm_key",
            "a farm's public key is 32 bytes in base64url",
            hint="zos node key FILE prints it",
        )


def parse_mirror(text: str) -> str:
    """Return the URL of a mirror without a slash at its end."""
    if (url := plain_url(text)) is None:
        raise InputError("mirror", f"a mirror is {FORM}")
    return url
