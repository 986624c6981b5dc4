"""Which flists a node runs from."""

from node.flists.model import CORE, FIRMWARE, WORKLOAD, Wanted
from node.model import BootParameters


def choose_signed(parameters: BootParameters) -> tuple[Wanted, ...]:
    """Return the flists of the run mode, which hubs have under known names, each signed alone."""
    name = parameters.flist_name
    return (
        Wanted(FIRMWARE, f"{name}-{FIRMWARE}", is_optional=True),
        Wanted(CORE, f"{name}-{CORE}", is_optional=True),
        Wanted(WORKLOAD, name),
    )
