"""What a node could run: the release that its channel holds, or the flists that its hub has."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from common.releases.channel import Channel
from common.releases.layout import boot_version
from common.releases.manifest import Manifest
from common.releases.waves import Waves
from node.channel import check_channel
from node.flists.choose import choose, choose_signed
from node.flists.model import Wanted
from node.flists.prepare import Preparer
from node.model import BootParameters


@dataclass(frozen=True)
class Held:
    """A release and its set; `turn` is when this farm's turn comes (Unix time), 0 at once.

    `sequence` is the channel's, 0 without a channel. `flists` is empty if there is no release.
    """

    release: str
    sequence: int = 0
    waves: Waves | None = None
    turn: int = 0
    flists: tuple[Wanted, ...] = ()

    def rows(self) -> dict[str, object]:
        """Return it as it goes through the door."""
        return {
            "release": self.release,
            "boot_version": boot_version(self.release),
            "sequence": self.sequence,
            "waves": self.waves.to_json() if self.waves else None,
            "turn": self.turn,
            "flists": [asdict(flist) for flist in self.flists],
        }


def from_channel(parameters: BootParameters, channel: Channel, manifest: Manifest | None) -> Held:
    """Return what a channel holds."""
    waves = channel.waves
    turn = waves.turn_of(channel.release, parameters.farm) if waves and channel.release else 0
    flists = choose(parameters, manifest) if manifest else ()
    return Held(channel.release, channel.sequence, waves, turn, flists)


def from_hub(boot: str, flists: tuple[Wanted, ...], signatures: Mapping[str, str]) -> Held:
    """Return what a hub has, for a node without a channel: the signatures tell it apart."""
    rows = [f"{one.name} {signatures[one.name]}" for one in flists if signatures.get(one.name)]
    digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return Held(f"{boot}.dev{digest[:8]}", flists=flists)


class Source:
    """Where a node learns what it could run."""

    def __init__(self, preparer: Preparer, boot: str, has_channel: bool) -> None:
        self.preparer = preparer
        self.parameters = preparer.parameters
        self.boot = boot
        self.has_channel = has_channel

    def look(self) -> Held:
        """Ask the channel, or the hub. Raises `ZosError`."""
        parameters = self.parameters
        if not self.has_channel:
            flists = choose_signed(parameters)
            return from_hub(self.boot, flists, self.preparer.look(flists))
        return from_channel(parameters, *self.read_channel())

    def read_channel(self) -> tuple[Channel, Manifest | None]:
        """Return the channel, and the manifest of its release. Raises `ZosError`."""
        parameters, cache = self.parameters, self.preparer.find_cache()
        url, name, proxy = parameters.bootstrap, parameters.runmode, parameters.proxy
        return check_channel(url, name, proxy=proxy, cache=cache)

    def name_running(self) -> str:
        """Return what runs, by the signatures with which it was fetched."""
        flists = choose_signed(self.parameters)
        return from_hub(self.boot, flists, self.preparer.signatures).release
