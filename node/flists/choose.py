"""Which flists a node runs from."""

from common.releases.manifest import Manifest
from node.flists.model import CORE, FIRMWARE, WORKLOAD, Wanted
from node.model import BootParameters


def choose(parameters: BootParameters, manifest: Manifest | None) -> tuple[Wanted, ...]:
    """Return the flists that the channel's release names, or else those of the run mode."""
    if manifest is None or not manifest.flists:
        return choose_signed(parameters)
    return tuple(
        Wanted(flist.role, flist.name, flist.sha256, flist.size, manifest.version)
        for flist in manifest.flists
    )


def choose_signed(parameters: BootParameters) -> tuple[Wanted, ...]:
    """Return the flists of the run mode, which hubs have under known names, each signed alone."""
    name = parameters.flist_name
    return (
        Wanted(FIRMWARE, f"{name}-{FIRMWARE}", is_optional=True),
        Wanted(CORE, f"{name}-{CORE}", is_optional=True),
        Wanted(WORKLOAD, name),
    )
