"""What a machine has, as values. No I/O."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Resources:
    """Processors (threads), and bytes of memory and of both classes of disks; upstream's names."""

    cru: int = 0
    mru: int = 0
    sru: int = 0
    hru: int = 0
    ipv4u: int = 0

    def to_json(self) -> dict[str, int]:
        """Return them by their names."""
        return asdict(self)

    def minus(self, other: "Resources") -> "Resources":
        """Return what is left of these, never less than nothing."""
        mine, theirs = asdict(self), asdict(other)
        return Resources(**{name: max(mine[name] - theirs[name], 0) for name in mine})


@dataclass(frozen=True)
class Disk:
    """A disk that counts; `id` tells disks apart, over reboots, where the drive has one."""

    name: str
    size: int
    is_rotating: bool
    model: str = ""
    id: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it for the API."""
        return asdict(self) | {"class": "hdd" if self.is_rotating else "ssd"}


@dataclass(frozen=True)
class Gpu:
    """A graphics card, named as upstream does: `slot/vendor/device`."""

    id: str
    vendor: str
    device: str


@dataclass(frozen=True)
class Interface:
    """A network interface with the addresses that others can reach."""

    name: str
    mac: str
    addresses: tuple[str, ...] = ()
