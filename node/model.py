"""The parameters of a node's kernel command line."""

from dataclasses import dataclass

from common.errors import ZosError
from common.runmodes import RUN_MODES

FLIST_REPOSITORY = "tf-zos"


class NodeError(ZosError):
    """An error that a farmer or an operator can act on.

    `code` is one of `common.bootcodes` if it keeps the node from booting.
    """

    def __init__(self, message: str, *, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True)
class BootParameters:
    """The boot script's parameters for this node; `farm` 0 is a node without a farm.

    `hubs` are the URLs of hubs that have the same flists, `bootstrap` is that of the bootstrap
    server, `enrol` the token that binds the farm's number to the image, `proxy` the URL of an HTTP
    proxy; each may be empty. `kexec` allows another kernel to be started without the firmware.
    """

    runmode: str
    farm: int
    hubs: tuple[str, ...]
    bootstrap: str = ""
    enrol: str = ""
    proxy: str = ""
    kexec: bool = False

    @property
    def flist_name(self) -> str:
        """Return the hub's name for this run mode's root file system, without a suffix."""
        return f"{FLIST_REPOSITORY}/{RUN_MODES[self.runmode].network}"
