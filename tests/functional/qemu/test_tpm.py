"""The TPM of a machine: its process lives as long as the machine."""

import os
from pathlib import Path

import pytest

from qemu.errors import MachineError
from qemu.machine import QemuMachine
from qemu.model import MachineConfig, UsbBoot
from tests.helpers.needs import need_tool
from tests.helpers.processes import children_of, is_alive
from tests.helpers.vm import sector
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.vm
BOOT_S = 120


@pytest.fixture
def config(tmp_path: Path) -> MachineConfig:
    """Return a small machine with a TPM, which SeaBIOS starts."""
    need_tool("qemu-system-x86_64")
    need_tool("swtpm")
    image = sector.write_sector(tmp_path / "disk.img", sector.say("up\r\n"), sector.HALT)
    return MachineConfig(boot=UsbBoot(image), memory_mib=64, acceleration="tcg", has_tpm=True)


def programs_of(pids: list[int]) -> dict[str, int]:
    """Return the programs that run, by the name of each."""
    return {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in pids}


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_it_ends_with_its_machine(config: MachineConfig, how: str) -> None:
    with QemuMachine(config) as machine:
        machine.wait_for_console_text("up", timeout_s=BOOT_S)
        tpm = programs_of(children_of(os.getpid()))["swtpm"]
        assert machine.qmp("query-tpm")[0]["model"] == "tpm-crb"
        if how == "kill":
            machine.process.kill()
            wait_until(lambda: not is_alive(tpm), "the TPM ends")
    assert not is_alive(tpm)


def test_a_machine_that_does_not_start_leaves_no_tpm(config: MachineConfig) -> None:
    broken = MachineConfig(boot=config.boot, has_tpm=True, extra_args=("-no-such-option",))
    with pytest.raises(MachineError, match="cannot start the machine"):
        QemuMachine(broken).open()
    assert "swtpm" not in programs_of(children_of(os.getpid()))
