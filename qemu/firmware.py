"""Finds UEFI firmware on this host: OVMF's code and a template of its variables."""

from pathlib import Path
from typing import NamedTuple

from qemu.errors import MachineError


class FirmwareFiles(NamedTuple):
    """A pair of flash images; every machine writes to its own copy of the variables."""

    code: Path
    variables: Path


# Debian and Ubuntu (4 MB, then the older 2 MB), Fedora, Arch, openSUSE.
PLACES = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
)


def find_uefi(root: Path = Path("/")) -> FirmwareFiles:
    """Return the first pair that exists. Raises `MachineError` if there is none."""
    for code, variables in PLACES:
        pair = FirmwareFiles(root / code.lstrip("/"), root / variables.lstrip("/"))
        if pair.code.exists() and pair.variables.exists():
            return pair
    raise MachineError(
        "cannot boot with UEFI: no OVMF firmware on this host", hint="apt-get install ovmf"
    )
