"""The KVM probe with a program in place of QEMU: its result and its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qemu import acceleration
from qemu.args import PROGRAM
from qemu.firmware import FirmwareFiles
from tests.helpers.processes import is_alive
from tests.helpers.waiting import wait_until

# Writes its process ID to a file, then text to the serial port and stderr, then waits or ends.
QEMU = """#!/bin/sh
echo $$ > {folder}/pid
for word in "$@"; do case $word in file:/*/said) serial=${{word#file:}};; esac; done
printf '%s' '{serial}' > "$serial"
printf '%s' '{errors}' >&2
exec {then}
"""
DEADLINE_S = 60
PROBE = """
import sys
from pathlib import Path
from qemu import acceleration
from qemu.firmware import FirmwareFiles
acceleration.find_uefi = lambda: FirmwareFiles(Path(sys.argv[1]), Path(sys.argv[1]))
acceleration.does_kvm_boot()
"""


@pytest.fixture(autouse=True)
def firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("code", "variables"):
        (tmp_path / name).write_bytes(b"x")
    found = FirmwareFiles(tmp_path / "code", tmp_path / "variables")
    monkeypatch.setattr(acceleration, "find_uefi", lambda: found)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def write_qemu(folder: Path, serial: str = "", errors: str = "", then: str = "sleep 60") -> None:
    program = folder / PROGRAM
    program.write_text(QEMU.format(folder=folder, serial=serial, errors=errors, then=then))
    program.chmod(0o755)


def is_gone(folder: Path) -> bool:
    """Return whether the program has ended, or was killed before it wrote its process ID."""
    try:
        text = (folder / "pid").read_text().strip()
    except FileNotFoundError:
        return True
    return not text or not is_alive(int(text))


def test_the_proof_ends_the_probe(tmp_path: Path) -> None:
    write_qemu(tmp_path, serial="... BdsDxe: loading")
    assert acceleration.does_kvm_boot(DEADLINE_S)
    assert is_gone(tmp_path)


@pytest.mark.parametrize(
    ("errors", "then"), [("KVM internal error", "sleep 60"), ("no", "false"), ("", "sleep 60")]
)
def test_an_error_an_exit_or_silence_is_no_proof(tmp_path: Path, errors: str, then: str) -> None:
    write_qemu(tmp_path, errors=errors, then=then)
    assert not acceleration.does_kvm_boot(DEADLINE_S if errors else 1)
    assert is_gone(tmp_path)


def test_the_probe_dies_with_its_caller(tmp_path: Path) -> None:
    write_qemu(tmp_path)
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    caller = subprocess.Popen([sys.executable, "-c", PROBE, tmp_path / "code"], env=env)
    try:
        number = tmp_path / "pid"
        wait_until(lambda: number.exists() and number.read_text(), "the probe runs", DEADLINE_S)
    finally:
        caller.kill()
        caller.wait()
    wait_until(lambda: is_gone(tmp_path), "the probe ends", DEADLINE_S)
