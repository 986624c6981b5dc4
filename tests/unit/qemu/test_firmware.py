"""UEFI firmware on the host."""

from pathlib import Path

import pytest

from qemu.errors import MachineError
from qemu.firmware import find_uefi, tpm_call


def test_code_and_variables_are_found_as_a_pair(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no OVMF firmware") as caught:
        find_uefi(tmp_path)
    assert caught.value.hint == "apt-get install ovmf"
    folder = tmp_path / "usr/share/OVMF"
    folder.mkdir(parents=True)
    (folder / "OVMF_CODE_4M.fd").touch()
    for name in ("OVMF_CODE.fd", "OVMF_VARS.fd"):
        (folder / name).touch()
    with pytest.raises(MachineError, match="no OVMF firmware for Secure Boot"):
        find_uefi(tmp_path, is_secure=True)
    assert find_uefi(tmp_path) == (folder / "OVMF_CODE.fd", folder / "OVMF_VARS.fd")


def test_firmware_with_secure_boot_is_another_pair(tmp_path: Path) -> None:
    folder = tmp_path / "usr/share/OVMF"
    folder.mkdir(parents=True)
    for name in ("OVMF_CODE_4M.fd", "OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.fd"):
        (folder / name).touch()
    assert find_uefi(tmp_path, is_secure=True).code == folder / "OVMF_CODE_4M.secboot.fd"
    assert find_uefi(tmp_path).code == folder / "OVMF_CODE_4M.fd"


def test_arm64_has_firmware_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no AAVMF firmware on this host") as caught:
        find_uefi(tmp_path, architecture="arm64")
    assert caught.value.hint == "apt-get install qemu-efi-aarch64"
    folder = tmp_path / "usr/share/AAVMF"
    folder.mkdir(parents=True)
    for name in ("AAVMF_CODE.fd", "AAVMF_VARS.fd"):
        (folder / name).touch()
    assert find_uefi(tmp_path, architecture="arm64").code == folder / "AAVMF_CODE.fd"


def test_a_tpm_without_its_program_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="cannot run swtpm: not found"):
        tpm_call(tmp_path / "tpm", 5)
