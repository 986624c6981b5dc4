"""The kinds of images."""

from collections.abc import Mapping
from typing import NamedTuple


class Kind(NamedTuple):
    """One kind: its firmware, and how it gets a farm's script."""

    name: str
    suffix: str
    media_type: str
    firmware: tuple[str, ...]
    architecture: str
    title: str
    personalised: str
    min_parts: int = 1
    max_parts: int = 4


KINDS: Mapping[str, Kind] = {
    "usb": Kind(
        "usb",
        ".img",
        "application/octet-stream",
        ("bios", "uefi"),
        "x86-64",
        "the disk image for a USB stick",
        "slot",
        2,
    ),
    "ipxe": Kind("ipxe", ".ipxe", "text/plain", ("bios", "uefi"), "any", "the iPXE script", "slot"),
}
