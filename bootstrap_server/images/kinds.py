"""The kinds of images: one table, from which the addresses, the pages and the tests are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bootstrap_server.options.model import Options

OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
BIOS, UEFI = "bios", "uefi"
AMD64, ARM64 = "amd64", "arm64"
NAMED = "{name}"
FIRMWARE_TYPES: Mapping[str, str] = {
    ".efi": "application/efi",
    ".iso": "application/vnd.efi-iso",
    ".img": "application/vnd.efi-img",
}
"""By suffix, how UEFI HTTP Boot tells what it has loaded (UEFI specification 2.10, 24.7)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an address `/<name>/...` answers.

    `source` is where the content comes from: a template of `images/template.py`, the `script`
    itself, or the files of a release (`full`, `uki`, `secure`). `personal` says how a farm
    gets into it: by its options in a `slot`, by a slot that asks the server what the machine is
    (`provision`), or not at all (`none`). `upstream` is the file's name for upstream's clients. An
    address has `min_parts` to `max_parts` parts after the name: run mode, farm, parameters, kernel.
    """

    name: str
    title: str
    suffix: str
    source: str
    firmware: tuple[str, ...]
    architecture: tuple[str, ...] = (AMD64,)
    personal: Literal["slot", "provision", "none"] = "slot"
    upstream: str = ""
    min_parts: int = 1
    max_parts: int = 4
    media_type: str = field(default=OCTETS)

    def file_name(self, options: Options | None) -> str:
        """Return the name under which a person should save it: it tells what it is for."""
        stem = options.file_name if options else f"zero-os-{self.name}"
        return stem + self.suffix

    def upstream_name(self, options: Options | None) -> str:
        """Return the name that upstream gives it, or else ours."""
        name = self.upstream.format(mode=options.run_mode if options else "")
        return name or self.file_name(options)


def _fixed(name: str, title: str, suffix: str, source: str, *firmware: str, upstream: str) -> Kind:
    """Return a kind whose address has no parts."""
    personal: Literal["provision", "none"] = "none" if upstream else "provision"
    return Kind(
        *(name, title, suffix, source, firmware),
        personal=personal,
        upstream=upstream,
        min_parts=0,
        max_parts=0,
    )


_GENERIC = "ipxe-zero-os-generic"
_ALL = (
    Kind("ipxe", "iPXE script", ".ipxe", "script", (BIOS, UEFI), (AMD64, ARM64), media_type=TEXT),
    Kind(
        *("usb", "USB stick", ".img", "usb", (BIOS, UEFI), (AMD64, ARM64)),
        upstream="ipxe-{mode}.img",
    ),
    Kind(
        *("uefimg", "USB stick or disk", ".img", "usb", (BIOS, UEFI), (AMD64, ARM64)),
        upstream="uefiusb-{mode}.img",
    ),
    Kind(
        *("iso", "CD, virtual media or USB stick", ".iso", "iso", (BIOS, UEFI), (AMD64, ARM64)),
        upstream="ipxe-{mode}.iso",
    ),
    Kind(
        *("uefi", "UEFI program, or UEFI HTTP Boot", ".efi", "uefi", (UEFI,)),
        upstream="ipxe-{mode}.efi",
    ),
    Kind("uefi-arm64", "UEFI program for arm64", ".efi", "uefi-arm64", (UEFI,), (ARM64,)),
    Kind(
        *("snponly", "UEFI program that uses the firmware's driver", ".efi", "snponly", (UEFI,)),
        upstream="ipxe-snp-{mode}.efi",
    ),
    Kind(
        *("krn", "file that boots as a Linux kernel", ".lkrn", "krn", (BIOS,)),
        upstream="ipxe-{mode}.lkrn",
        max_parts=3,
    ),
    Kind("full", "CD or stick that needs no network to reach Linux", ".iso", "full", (BIOS, UEFI)),
    Kind("secure", "USB stick for machines with Secure Boot", ".img", "secure", (UEFI,)),
    Kind("uki", "UEFI program with the whole of Linux, for HTTP Boot", ".efi", "uki", (UEFI,)),
    _fixed(
        "krn-generic", "iPXE for BIOS", ".lkrn", "krn-generic", BIOS, upstream=f"{_GENERIC}.lkrn"
    ),
    _fixed(
        "uefi-generic", "iPXE for UEFI", ".efi", "uefi-generic", UEFI, upstream=f"{_GENERIC}.efi"
    ),
    _fixed("krn-provision", "kernel file for any machine", ".lkrn", "krn", BIOS, upstream=""),
    _fixed("uefi-provision", "UEFI program for any machine", ".efi", "uefi", UEFI, upstream=""),
    _fixed("usb-provision", "USB stick for any machine", ".img", "usb", BIOS, UEFI, upstream=""),
    _fixed("iso-provision", "CD or stick for any machine", ".iso", "iso", BIOS, UEFI, upstream=""),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
