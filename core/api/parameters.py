"""What the kernel's command line says of the API. No I/O."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from common.bootwords import read_words, split_words
from common.farms import parse_farm
from core.certificates.farmkey import parse_public
from core.certificates.names import CertificateError
from core.report.parameters import parse_proxy

MASK = "..."
_SECRET = re.compile(r"enrol|.*(secret|token|password|passwd|credential).*", re.IGNORECASE)
_USER = re.compile(r"//([^/\s@]+)@")
SHORTEST = 4  # characters of a secret that is searched for in other texts


@dataclass(frozen=True)
class Parameters:
    """The farm (0 for none), its public key if the command line has one, the registry, and the
    proxy (host, port) through which it is reached."""

    farm: int
    key: bytes | None
    registry: str
    proxy: tuple[str, int] | None = None
    problem: str = ""


def parse_parameters(text: str) -> Parameters:
    """Return what the command line `text` says; what is malformed counts as missing."""
    words = read_words(text).chosen()
    farm = parse_farm(words.get("farmer_id", "0")) or 0
    registry = words.get("registry", "").rstrip("/")
    try:
        key = parse_public(words["farm.key"]) if words.get("farm.key") else None
    except CertificateError as error:
        return Parameters(farm, None, "", problem=f"farm.key= is wrong: {error.message}")
    return Parameters(farm, key, registry, parse_proxy(words.get("net.proxy", "")))


def secrets_of(text: str) -> frozenset[str]:
    """Return the secret values of a command line: tokens, passwords, users of URLs."""
    found = set(_USER.findall(text))
    for name, values in read_words(text).values.items():
        if _SECRET.fullmatch(name):
            found |= {value for value in values if value}
    return frozenset(found)


def mask(value: str, secrets: Iterable[str]) -> str:
    """Return a text without these secrets, nor what stands before the host of a URL."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            value = value.replace(secret, MASK)
    return _USER.sub(f"//{MASK}@", value)


def mask_command_line(text: str) -> str:
    """Return a command line without the values of its secrets, however short."""
    words = []
    for word in split_words(text)[0]:
        name, is_there, _ = word.partition("=")
        words.append(f"{name}={MASK}" if is_there and _SECRET.fullmatch(name) else word)
    return _USER.sub(f"//{MASK}@", " ".join(words))
