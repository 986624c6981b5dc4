"""What the kernel's command line says of reporting. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from common.farms import parse_farm
from core.errors import CoreError

TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,400}")


class NoRegistryError(CoreError):
    """No registry is named: the node is to report to nobody."""


@dataclass(frozen=True)
class Parameters:
    """Where to report, as a node of which farm, with which proof of belonging to it."""

    registry: str
    farm: int
    enrol: str = ""
    proxy: tuple[str, int] | None = None


def parse_parameters(words: Mapping[str, str]) -> Parameters:
    """Return the parameters; raise `CoreError` if the node can't report with them."""
    registry = parse_url(words.get("registry", ""))
    farm = demand_farm(words.get("farmer_id", ""))
    enrol = words.get("enrol", "")
    return Parameters(
        registry,
        farm,
        enrol if TOKEN.fullmatch(enrol) else "",
        parse_proxy(words.get("net.proxy", "")),
    )


def parse_url(text: str) -> str:
    """Return the registry's address."""
    if not text:
        raise NoRegistryError(
            "the node does not report: its command line names no registry",
            hint="the boot script sets it; see --registry of `zos bootstrap serve`",
        )
    if not is_url(text, ("http", "https")):
        raise CoreError("the node does not report: registry= is no http(s) address")
    return text.rstrip("/")


def parse_proxy(text: str) -> tuple[str, int] | None:
    """Return host and port of the node's proxy; none if it is not usable, as bring-up tells."""
    parts = urlsplit(text.rstrip("/")) if is_url(text, ("http",)) else None
    if parts is None or parts.path or parts.query:
        return None
    return parts.hostname or "", parts.port or 80


def is_url(text: str, schemes: tuple[str, ...]) -> bool:
    """Return whether a text is an address without a user."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    is_whole = parts.scheme in schemes and bool(parts.hostname) and port != 0
    return is_whole and "@" not in parts.netloc and text.isprintable() and " " not in text


def demand_farm(text: str) -> int:
    """Return the farm's number."""
    farm = parse_farm(text)
    if not farm:
        raise CoreError(
            "the node does not report: it belongs to no farm",
            hint="farmer_id= on the kernel's command line is the farm's number",
        )
    return farm
