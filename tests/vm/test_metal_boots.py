"""A release of the profile `metal`: it boots, and its microcode and firmware are where the kernel
and its drivers look for them.
"""

from pathlib import Path

import pytest

from image.release.build import build_release
from qemu.machine import QemuMachine
from qemu.model import KernelBoot, MachineConfig, Nic
from tests.helpers.needs import need_tool

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
BOOT_S = 600
FAST = 1

# A firmware is there under the name that its driver asks for, and no microcode stays in memory.
LOOK = """
import lzma, os
print(len(lzma.open("/usr/lib/firmware/intel/ice/ddp/ice.pkg.xz").read()) > 100_000)
print(os.readlink("/kernel/x86/microcode/GenuineIntel.bin"))
print(*sorted(os.listdir("/sys/class/net")))
"""


def test_a_node_of_metal_gets_its_network(tmp_path: Path, artefacts: Path) -> None:
    need_tool("qemu-system-x86_64")
    need_tool("apt-get")
    release = build_release(
        tmp_path / "release", profile="metal", progress=print, level=FAST, is_debug=True
    )
    files = (release.folder / "vmlinuz", release.folder / "initramfs.zst")
    boot = KernelBoot(files[0], files[1:], "console=ttyS0 panic=-1 runmode=dev farmer_id=1")
    config = MachineConfig(boot=boot, memory_mib=2048, has_agent=True, nics=(Nic(model="e1000e"),))
    with QemuMachine(config, artefacts=artefacts) as machine:
        guest = machine.guest
        guest.wait_until_ready(BOOT_S)
        guest.wait_for_file("/sys/class/net/eth0", BOOT_S)
        assert "VARIANT_ID=metal" in guest.read_file("/etc/os-release").decode()
        assert guest.python(LOOK).split() == ["True", "/dev/null", "eth0", "lo"]
