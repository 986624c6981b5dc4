"""What a node knows of itself: the words of its kernel command line, checked."""

from dataclasses import dataclass

from common.errors import ZosError

# The run modes and the names of their networks, which are also the names of their flists.
NETWORKS = {"dev": "development", "qa": "qa", "test": "testing", "prod": "production"}
FLIST_REPOSITORY = "tf-zos"


class NodeError(ZosError):
    """Something a farmer or an operator can act on."""


@dataclass(frozen=True)
class BootParameters:
    """What the boot script told this node; `farm` 0 is a node without a farm."""

    runmode: str
    farm: int
    hub: str

    @property
    def flist_name(self) -> str:
        """The hub's name for this run mode's root file system, without its suffix."""
        return f"{FLIST_REPOSITORY}/{NETWORKS[self.runmode]}"
