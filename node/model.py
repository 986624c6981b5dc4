"""The parameters of a node's kernel command line."""

from dataclasses import dataclass

from common.errors import ZosError
from common.runmodes import RUN_MODES

FLIST_REPOSITORY = "tf-zos"


class NodeError(ZosError):
    """An error that a farmer or an operator can act on."""


@dataclass(frozen=True)
class BootParameters:
    """The boot script's parameters for this node; `farm` 0 is a node without a farm."""

    runmode: str
    farm: int
    hub: str

    @property
    def flist_name(self) -> str:
        """Return the hub's name for this run mode's root file system, without a suffix."""
        return f"{FLIST_REPOSITORY}/{RUN_MODES[self.runmode].network}"
