"""A node counts exactly what QEMU's command line gave it.

The daemon's own code runs on a node with the agent, as root. What a disk is worth follows from what
its drive says: NVMe and SCSI drives say whether they rotate; a virtio disk can't, so Linux takes it
for one that does.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import Disk, DiskBus, KernelBoot, MachineConfig, Nic, UsbBoot
from tests.helpers.checkout import TOP
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.vm.esp import write_esp
from tests.helpers.waiting import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(1200)]
BOOT_S = 600
GIB = 1 << 30
CODE = "/tmp/core.zip"
LIBRARIES = "/tmp/libraries"
MACS = ("52:54:00:00:0c:01", "52:54:00:00:0c:02")
GATHER = f"""
import json, sys
sys.path[:0] = [{CODE!r}, {LIBRARIES!r}]
from core.capacity.facts import gather, read_firmware
from core.capacity.model import Resources
from core.capacity.sysfs import System
system = System()
facts = gather(system, read_firmware(system), Resources())
facts["memory"] = open("/proc/meminfo").readline().split()[1]
print(json.dumps(facts))
"""
UNPACK = f"""
import os, zipfile
zipfile.ZipFile("/tmp/libraries.zip").extractall({LIBRARIES!r})
"""


def make_zip(root: Path, *names: str) -> bytes:
    """Return an archive of folders below `root`."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            for path in sorted((root / name).rglob("*")):
                if path.suffix in (".py", ".so"):
                    archive.write(path, path.relative_to(root))
    return data.getvalue()


def gather(machine: QemuMachine) -> dict[str, Any]:
    """Return the facts of a machine, once its code is there."""
    facts: dict[str, Any] = json.loads(machine.guest.python(GATHER, timeout_s=120))
    return facts


def bring_code(machine: QemuMachine) -> None:
    """Copy the code to a node whose agent answers."""
    machine.guest.wait_until_ready(BOOT_S)
    machine.guest.write_file(CODE, make_zip(TOP, "core", "common"))
    wheels = Path(psutil.__file__).parent.parent
    machine.guest.write_file("/tmp/libraries.zip", make_zip(wheels, "psutil"))
    machine.guest.python(UNPACK)


def boot_of(release: Release) -> KernelBoot:
    files = (release.folder / "vmlinuz", release.folder / "initramfs.zst")
    return KernelBoot(files[0], files[1:], "console=ttyS0 panic=-1 runmode=dev farmer_id=1")


def sparse(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    with path.open("wb") as file:
        file.truncate(size)
    return path


def drive(folder: Path, name: str, size: int) -> tuple[str, str]:
    place = sparse(folder, name, size)
    return "-drive", f"if=none,id={name},format=raw,snapshot=on,file={place}"


def installed_memory(facts: dict[str, Any]) -> str:
    """Return the size of the memory modules, as the firmware says."""
    sizes = [
        part["properties"]["Size"]["value"]
        for section in facts["dmi"]["sections"]
        if section["typestr"] == "MemoryDevice"
        for part in section["subsections"]
    ]
    (size,) = sizes
    return str(size)


@pytest.fixture
def mixed(debug_release: Release, tmp_path: Path, artefacts: Path) -> Iterator[QemuMachine]:
    """Yield a machine with one of everything."""
    need_tool("qemu-system-x86_64")
    extra = [
        *("-device", "virtio-scsi-pci,id=scsi"),
        *drive(tmp_path, "flash", 1 * GIB),
        *("-device", "scsi-hd,bus=scsi.0,drive=flash,rotation_rate=1,serial=flash"),
        *drive(tmp_path, "spindle", 6 * GIB),
        *("-device", "ide-hd,bus=ide.1,drive=spindle,rotation_rate=7200"),
        *drive(tmp_path, "later", 9 * GIB),
        *("-device", "pcie-root-port,id=free,chassis=7,slot=7"),
        *("-device", "pcie-root-port,id=taken,chassis=8,slot=8"),
        *("-device", "pcie-pci-bridge,id=bridge,bus=taken"),
        *("-device", "ati-vga,bus=bridge,addr=3"),
        *("-smbios", "type=2,manufacturer=ACME,serial=SN-0042"),
        *("-drive", f"if=none,id=cd,format=raw,readonly=on,file={sparse(tmp_path, 'cd', GIB)}"),
        *("-device", "ide-cd,drive=cd,bus=ide.2"),
    ]
    buses: list[tuple[DiskBus, int]] = [("virtio", 5), ("nvme", 3), ("sata", 7), ("usb", 2)]
    disks = tuple(Disk(sparse(tmp_path, bus, size * GIB), bus) for bus, size in buses)
    config = MachineConfig(
        boot=boot_of(debug_release),
        memory_mib=1536,
        cpus=3,
        nics=(Nic(mac=MACS[0]), Nic(model="e1000e", mac=MACS[1], is_connected=False)),
        disks=disks,
        has_agent=True,
        extra_args=tuple(extra),
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        yield machine


def test_one_of_everything(mixed: QemuMachine) -> None:
    bring_code(mixed)
    facts = gather(mixed)
    capacity = facts["capacity"]
    assert capacity["cru"] == 3
    assert capacity["mru"] == int(facts["memory"]) * 1024
    assert installed_memory(facts) == "1536 MB"
    assert 0.9 * 1536 * (1 << 20) < capacity["mru"] < 1536 * (1 << 20)
    assert capacity["sru"] == (3 + 1) * GIB, facts["disks"]
    assert capacity["hru"] == (5 + 6 + 7) * GIB, facts["disks"]
    assert capacity["ipv4u"] == 0
    addresses = {card["mac"]: card["addresses"] for card in facts["interfaces"]}
    assert sorted(addresses) == list(MACS)
    assert addresses[MACS[0]][0].startswith("10.0.2.") and addresses[MACS[1]] == []
    assert facts["serial"] == "SN-0042"
    assert facts["virtualized"] and facts["hypervisor"] in ("qemu", "kvm")
    assert not facts["secure_boot"]
    (card,) = facts["gpus"]
    assert card["id"].endswith("/1002/5046") and not card["id"].startswith("0000:00:")
    plug_in(mixed, capacity["hru"])


def plug_in(machine: QemuMachine, before: int) -> None:
    """A disk that is plugged in later counts, and one that is pulled out does not."""
    machine.qmp("device_add", driver="virtio-blk-pci", id="late", bus="free", drive="later")
    wait_until(lambda: gather(machine)["capacity"]["hru"] == before + 9 * GIB, "the disk", 120)
    machine.qmp("device_del", id="late")
    wait_until(lambda: gather(machine)["capacity"]["hru"] == before, "the disk is gone", 120)


@pytest.mark.parametrize(("cpus", "memory_mib"), [(1, 512), (4, 4096)])
def test_a_bare_machine(
    debug_release: Release, artefacts: Path, cpus: int, memory_mib: int
) -> None:
    """No disks, no cards: it has facts, and nothing is made up."""
    need_tool("qemu-system-x86_64")
    config = MachineConfig(
        boot=boot_of(debug_release), memory_mib=memory_mib, cpus=cpus, nics=(), has_agent=True
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        bring_code(machine)
        facts = gather(machine)
    assert facts["capacity"]["cru"] == cpus
    assert (facts["capacity"]["sru"], facts["capacity"]["hru"]) == (0, 0)
    assert facts["interfaces"] == [] and facts["gpus"] == [] and facts["serial"] == ""
    assert installed_memory(facts) == (f"{memory_mib} MB" if memory_mib % 1024 else "4 GB")


@pytest.mark.parametrize("is_secure", [True, False])
def test_secure_boot(
    debug_release: Release,
    variables: Path,
    tmp_path: Path,
    artefacts: Path,
    is_secure: bool,
) -> None:
    """The stick that it boots from does not count."""
    need_tool("qemu-system-x86_64")
    need_uefi()
    uki = (debug_release.folder / "zos.efi").read_bytes()
    config = MachineConfig(
        boot=UsbBoot(write_esp(tmp_path / "esp.img", uki)),
        firmware="uefi-secure" if is_secure else "uefi",
        variables=variables if is_secure else None,
        memory_mib=2048,
        cpus=2,
        has_agent=True,
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        bring_code(machine)
        facts = gather(machine)
    assert facts["secure_boot"] == is_secure
    assert facts["capacity"]["cru"] == 2
    assert facts["disks"] == []
