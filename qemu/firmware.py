"""What a UEFI machine needs of this host: OVMF or AAVMF and its variables, and a software TPM."""

import shutil
from pathlib import Path
from typing import NamedTuple

from qemu.errors import MachineError
from qemu.model import Architecture


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
# Firmware with Secure Boot; its variables are empty, so no key is enrolled.
SECURE_PLACES = (
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/qemu/ovmf-x86_64-smm-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-vars.bin"),
)
# For arm64: Debian and Ubuntu, Fedora, Arch.
ARM_PLACES = (
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    (
        "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
    ),
    ("/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"),
)
TPM = "swtpm"


def find_uefi(
    root: Path = Path("/"), *, is_secure: bool = False, architecture: Architecture = "amd64"
) -> FirmwareFiles:
    """Return the first pair that exists. Raises `MachineError` if there is none."""
    is_arm = architecture == "arm64"
    for code, variables in ARM_PLACES if is_arm else SECURE_PLACES if is_secure else PLACES:
        pair = FirmwareFiles(root / code.lstrip("/"), root / variables.lstrip("/"))
        if pair.code.exists() and pair.variables.exists():
            return pair
    raise MachineError(
        f"cannot boot with UEFI: no {'AAVMF' if is_arm else 'OVMF'} firmware"
        f"{' for Secure Boot' * is_secure} on this host",
        hint=f"apt-get install {'qemu-efi-aarch64' if is_arm else 'ovmf'}",
    )


def tpm_call(folder: Path, control_fd: int) -> list[str]:
    """Return the command line of a TPM 2.0 that ends when its control socket is closed.

    Its state is in `folder`. Raises `MachineError` if swtpm is not installed.
    """
    program = shutil.which(TPM)
    if program is None:
        raise MachineError(f"cannot run {TPM}: not found", hint=f"apt-get install {TPM}")
    folder.mkdir(exist_ok=True)
    state, control = f"dir={folder}", f"type=unixio,clientfd={control_fd}"
    words = [program, "socket", "--tpm2", "--tpmstate", state, "--ctrl", control]
    return [*words, "--terminate", "--flags", "startup-clear"]
