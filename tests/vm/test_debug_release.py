"""A debug release carries the agent, so the commands of the test driver work on its nodes."""

from pathlib import Path

import pytest

from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import KernelBoot, MachineConfig
from tests.helpers.needs import need_tool

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]
BOOT_S = 300


def test_commands_run_on_a_node(debug_release: Release, artefacts: Path) -> None:
    need_tool("qemu-system-x86_64")
    release = debug_release
    files = (release.folder / "vmlinuz", release.folder / "initramfs.zst")
    boot = KernelBoot(files[0], files[1:], "console=ttyS0 panic=-1 runmode=dev farmer_id=1")
    config = MachineConfig(boot=boot, memory_mib=2048, has_agent=True)
    with QemuMachine(config, artefacts=artefacts) as machine:
        machine.guest.wait_until_ready(BOOT_S)
        assert "network" in machine.guest.succeed("zinit list")
        machine.guest.fail("zinit status no-such-service")
        about = machine.guest.read_file("/etc/os-release").decode()
        assert f'VERSION_ID="{release.version}"' in about and release.version.endswith(".debug")
        assert "ZERO_OS_DEBUG=1" in about
