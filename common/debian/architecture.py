"""What differs between the architectures of Debian."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """An architecture: its names in Debian, in wheels and in UEFI, its paths, its serial console.

    Programs name the file `interpreter` as their loader; it is a link to `loader`.
    """

    name: str
    machine: str
    efi: str
    loader_name: str
    interpreter: str
    console: str

    @property
    def triplet(self) -> str:
        """Return its name in folders and in extension modules of Python."""
        return f"{self.machine}-linux-gnu"

    @property
    def libraries(self) -> str:
        """Return the folder of its shared libraries."""
        return f"usr/lib/{self.triplet}"

    @property
    def loader(self) -> str:
        """Return the path of the dynamic loader."""
        return f"{self.libraries}/{self.loader_name}"


AMD64 = Architecture(
    "amd64", "x86_64", "x64", "ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2", "ttyS0"
)
ARM64 = Architecture(
    "arm64", "aarch64", "aa64", "ld-linux-aarch64.so.1", "usr/lib/ld-linux-aarch64.so.1", "ttyAMA0"
)
ARCHITECTURES: Mapping[str, Architecture] = {one.name: one for one in (AMD64, ARM64)}
