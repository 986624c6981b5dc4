"""Machines that boot from a LAN: from DHCP to the farm's script, or to a node that is ready."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bootstrap_server.images import inputs
from common.debian.archive import open_archive
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import Architecture, Boot, Firmware, KernelBoot, MachineConfig, NetworkBoot, Nic
from serving.listen import open_listener
from tests.helpers.lan.cable import Bridge, inside, open_bridge
from tests.helpers.lan.lab import LAN, SERVER, LanLab, open_lan
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.vm.pxe import NO_PXE, NO_ROM
from tests.helpers.vm.served import FARM, SAID, SHORT, UPSTREAMS, Served, serve_release
from zero_os.boot.hub import LocalHub

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
STAGE_S = 400
READY_S = 900
FETCHING = "Zero-OS: fetching kernel and initramfs"
MAC = "52:54:00:7a:05:77"
# What is booted comes from the bridge; the harness wants a file all the same.
FROM_CARD = NetworkBoot(Path(__file__).parent, Path(__file__).name)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanLab]:
    """Return a LAN with a bootstrap server, whose release no machine can run."""
    need_tool("qemu-system-x86_64")
    top = tmp_path_factory.mktemp("lan")
    channel = top / "releases" / "dev"
    channel.mkdir(parents=True)
    for name in ("vmlinuz", "initramfs.zst"):
        (channel / name).write_bytes(b"not a kernel" * 10000)
    with open_lan(top) as lab:
        lab.serve(top / "releases")
        yield lab


@pytest.fixture
def bridge(lab: LanLab) -> Iterator[Bridge]:
    """Return cables to the LAN; what a test starts on it ends with the test."""
    running, lab.running = lab.running, []
    with open_bridge(lab) as cables:
        yield cables
        lab.close()
    lab.running = running
    (lab.folder / "lan.log").unlink(missing_ok=True)


def boots(
    bridge: Bridge,
    artefacts: Path,
    boot: Boot = FROM_CARD,
    firmware: Firmware = "bios",
    architecture: Architecture = "amd64",
    extra_args: tuple[str, ...] = (),
) -> str:
    """Boot a machine until it fetches its kernel; return what its console has shown."""
    nic = Nic(network=bridge, mac=MAC)
    config = MachineConfig(
        boot=boot,
        firmware=firmware,
        architecture=architecture,
        nics=(nic,),
        extra_args=extra_args,
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        machine.wait_for_console_text(FETCHING, STAGE_S)
        return "\n".join(line.text for line in machine.console_lines())


def test_a_bios_boots_beside_a_router(lab: LanLab, bridge: Bridge, artefacts: Path) -> None:
    """QEMU's cards have an iPXE of 2019 as their BIOS code: it is told the script at once."""
    lab.start_router()
    lab.lan("--dhcp", "auto")
    shown = boots(bridge, artefacts)
    assert f"{LAN}/autoexec.ipxe" in shown


@pytest.mark.matrix
def test_a_bios_that_loads_ipxe_by_tftp(
    lab: LanLab, bridge: Bridge, artefacts: Path, tmp_path: Path
) -> None:
    """undionly.kpxe uses the card through the code that loaded it, here another iPXE."""
    lab.lan("--dhcp", "full")
    locks = inputs.read_locks()
    _, package = inputs.find_ipxe(locks[inputs.IPXE], locks[inputs.OLDER_IPXE])
    with open_archive(package) as archive:
        (tmp_path / "ipxe.lkrn").write_bytes(archive.read(inputs.IPXE_BIOS))
    (tmp_path / "script").write_text("#!ipxe\ndhcp\nchain tftp://10.9.0.1/undionly.kpxe\n")
    shown = boots(bridge, artefacts, KernelBoot(tmp_path / "ipxe.lkrn", (tmp_path / "script",)))
    assert "undionly.kpxe... ok" in shown


@pytest.mark.matrix
@pytest.mark.parametrize("mode", ["proxy", "full"])
def test_uefi_loads_ipxe_by_tftp(lab: LanLab, bridge: Bridge, artefacts: Path, mode: str) -> None:
    need_uefi()
    if mode == "proxy":
        lab.start_router()
    lab.lan("--dhcp", mode)
    shown = boots(bridge, artefacts, firmware="uefi", extra_args=NO_ROM)
    assert "NBP filename is ipxe.efi" in shown
    assert f"asking {LAN}/autoexec.ipxe" in shown


@pytest.mark.matrix
def test_arm64_loads_ipxe_by_tftp(lab: LanLab, bridge: Bridge, artefacts: Path) -> None:
    need_tool("qemu-system-aarch64")
    need_uefi("arm64")
    lab.start_router()
    lab.lan("--dhcp", "proxy")
    shown = boots(bridge, artefacts, firmware="uefi", architecture="arm64")
    assert "NBP filename is ipxe-arm64.efi" in shown


@pytest.mark.matrix
@pytest.mark.parametrize("mode", ["proxy", "full"])
def test_uefi_http_boot(lab: LanLab, bridge: Bridge, artefacts: Path, mode: str) -> None:
    """The firmware would try PXE first; it is told not to."""
    need_uefi()
    if mode == "proxy":
        lab.start_router()
    lab.lan("--dhcp", mode)
    shown = boots(bridge, artefacts, firmware="uefi", extra_args=(*NO_ROM, *NO_PXE))
    assert f"URI: {LAN}/ipxe.efi" in shown


@pytest.fixture(scope="module")
def served(
    lab: LanLab, release: Release, hub: LocalHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Return a server on the LAN whose release machines can run."""
    host = SERVER.removeprefix("http://").partition(":")[0]
    listen = partial(inside, lab.host, partial(open_listener, host, 0))
    with serve_release(release, hub.root, tmp_path_factory.mktemp("served"), host, listen) as found:
        yield found


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("uefi", SHORT),
        ("uefi", UPSTREAMS),
        ("uki", SHORT),
        ("uki", UPSTREAMS),
        ("snponly", UPSTREAMS),
        # These become disks in memory.
        ("iso", UPSTREAMS),
        ("usb", SHORT),
        ("full", UPSTREAMS),
    ],
)
def test_uefi_http_boot_of_an_image(
    lab: LanLab, bridge: Bridge, served: Served, artefacts: Path, kind: str, address: str
) -> None:
    """The farmer's own DHCP server names the address of an image."""
    need_uefi()
    url = f"{served.url}/{kind}/{address}"
    lab.start_router(
        *("--dhcp-match=set:http,option:client-arch,16", f"--dhcp-boot=tag:http,{url}"),
        "--dhcp-option-force=tag:http,60,HTTPClient",
    )
    config = MachineConfig(
        boot=FROM_CARD,
        firmware="uefi",
        nics=(Nic(network=bridge, mac=MAC),),
        memory_mib=2048,
        extra_args=(*NO_ROM, *NO_PXE),
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        machine.wait_for_console_text(f"URI: {url}", STAGE_S)
        line = machine.wait_for_console_text("Kernel command line: ", READY_S)
        machine.wait_for_console_text(f"bringup: node ready: farm {FARM}", READY_S)
    assert (SAID in line.text) == (address != SHORT), line.text
