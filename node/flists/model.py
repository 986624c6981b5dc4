"""The set of flists that a node runs from: one of each role.

    core       Core-0's daemons
    firmware   files that drivers of the kernel load
    workload   the root file system of the node's services

Each stands alone: one that is missing or broken keeps no other from running.
"""

from dataclasses import dataclass
from pathlib import Path

from common.releases.flists import CORE as CORE
from common.releases.flists import FIRMWARE as FIRMWARE
from common.releases.flists import WORKLOAD as WORKLOAD

FLISTS = Path("/run/zero-os/flists")
CORE_PREFIX = "core-"  # of the names of Core-0's services, and of no others
MOUNT_PREFIX = "flist-"  # of the names of the services that mount flists
SHORT_CHARS = 16  # of a digest, in the names of folders and services


@dataclass(frozen=True)
class Wanted:
    """A flist to fetch: its name as hubs have it, without a suffix.

    With `sha256` it is the file with that digest and size, which somebody has signed. Without, the
    signature beside it on the hub must be good. One that `is_optional` may be missing there.
    """

    role: str
    name: str
    sha256: str = ""
    size: int = 0
    version: str = ""
    is_optional: bool = False


@dataclass(frozen=True)
class Flist:
    """A verified flist on this machine; `version` is the release that named it, or empty.

    Several can be mounted at a time, as each has a folder and a service of its own.
    """

    role: str
    name: str
    sha256: str
    version: str = ""
    home: Path = FLISTS
    size: int = 0

    @property
    def top(self) -> Path:
        """Return its folder."""
        return self.home / self.sha256[:SHORT_CHARS]

    @property
    def meta(self) -> Path:
        """Return the file."""
        return self.top / "meta.fl"

    @property
    def lower(self) -> Path:
        """Return where its files are, through FUSE."""
        return self.top / "lower"

    @property
    def writable(self) -> Path:
        """Return where the layer in RAM is that takes what services write."""
        return self.top / "rw"

    @property
    def root(self) -> Path:
        """Return the root file system of its services."""
        return self.top / "root"

    @property
    def service(self) -> str:
        """Return the name of the service that mounts it."""
        return f"{MOUNT_PREFIX}{self.sha256[:SHORT_CHARS]}"
