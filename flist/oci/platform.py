"""Platforms such as linux/amd64 or linux/arm64/v8, and the choice among those of an index."""

import platform as machine
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from common.errors import UsageError

T = TypeVar("T")
NAMES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armv7l": "arm",
    "i386": "386", "i686": "386",
}  # fmt: skip
IMPLIED_VARIANTS = {"arm64": "v8", "arm": "v7"}


class Platform(NamedTuple):
    """An operating system and a processor architecture."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))

    def serves(self, wanted: "Platform") -> bool:
        """Return whether an image for this platform runs on `wanted`."""
        return (self.os, self.architecture) == (wanted.os, wanted.architecture) and (
            self.full_variant == wanted.full_variant
        )

    @property
    def full_variant(self) -> str:
        """The variant, or the one that the architecture implies."""
        return self.variant or IMPLIED_VARIANTS.get(self.architecture, "")


def parse_platform(text: str) -> Platform:
    """Return the platform of `OS/ARCH[/VARIANT]`; raises `UsageError`."""
    parts = text.lower().split("/")
    if len(parts) not in (2, 3) or not all(re.fullmatch(r"[a-z0-9._-]+", part) for part in parts):
        raise UsageError(
            f"cannot read platform {text!r}: it is not OS/ARCHITECTURE", hint="as in linux/arm64"
        )
    return Platform(parts[0], NAMES.get(parts[1], parts[1]), *parts[2:])


def own_platform() -> Platform:
    """Return the platform of this machine."""
    name = machine.machine().lower()
    return Platform("linux", NAMES.get(name, name))


def choose(offers: Sequence[tuple[Platform, T]], wanted: Platform) -> T | None:
    """Return the first offer for `wanted`, or else the first without a variant."""
    for offered, value in offers:
        if offered.serves(wanted):
            return value
    for offered, value in offers:
        if not offered.variant and offered.serves(wanted._replace(variant="")):
            return value
    return None
