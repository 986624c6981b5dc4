"""UEFI firmware on the host."""

from pathlib import Path

import pytest

from qemu.errors import MachineError
from qemu.firmware import find_uefi


def test_code_and_variables_are_found_as_a_pair(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no OVMF firmware") as caught:
        find_uefi(tmp_path)
    assert caught.value.hint == "apt-get install ovmf"
    folder = tmp_path / "usr/share/OVMF"
    folder.mkdir(parents=True)
    (folder / "OVMF_CODE_4M.fd").touch()
    for name in ("OVMF_CODE.fd", "OVMF_VARS.fd"):
        (folder / name).touch()
    assert find_uefi(tmp_path) == (folder / "OVMF_CODE.fd", folder / "OVMF_VARS.fd")
