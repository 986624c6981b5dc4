"""Every kind of image, started by the firmware and from the media that it is for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bootstrap_server.channels.bootable import KINDS as OF_RELEASES
from bootstrap_server.images.kinds import KINDS
from bootstrap_server.images.make import make_image
from bootstrap_server.lan.files import read_programs
from bootstrap_server.options.parse import parse_address
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.run import run
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import (
    Architecture,
    Boot,
    DiskBoot,
    Firmware,
    IsoBoot,
    KernelBoot,
    MachineConfig,
    NetworkBoot,
    UsbBoot,
)
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.counted import CountedApp
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.vm.esp import write_esp
from tests.helpers.vm.pxe import NO_ROM
from tests.helpers.vm.served import (
    FARM,
    HOST,
    SAID,
    SHORT,
    UPSTREAMS,
    WITH_KERNEL,
    Served,
    serve_release,
)
from zero_os.boot.hub import LocalHub

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
STAGE_S = 400
READY_S = 900
MEMORY_MIB = 2048
CHAIN = "#!ipxe\ndhcp\nchain tftp://10.0.2.2/image\n"
SCRIPT = "autoexec.ipxe"  # what iPXE looks for beside its own file
ARM_LOADER = "EFI/BOOT/BOOTAA64.EFI"


class Fetched(NamedTuple):
    """An image as a farmer has it, and what else the server answers at its address."""

    image: Path
    served: Served
    address: str

    def script(self, name: str = SCRIPT) -> Path:
        """Return the script of this address, in the folder of the image."""
        return self.served.fetch(f"/ipxe/{self.address}", self.image.parent / name)


def from_stick(fetched: Fetched) -> Boot:
    """Return the boot from a USB stick."""
    return UsbBoot(fetched.image)


def from_disk(fetched: Fetched) -> Boot:
    """Return the boot from a virtio disk."""
    return DiskBoot(fetched.image)


def from_cd(fetched: Fetched) -> Boot:
    """Return the boot from a CD."""
    return IsoBoot(fetched.image)


def as_kernel(fetched: Fetched) -> Boot:
    """Return the boot as a Linux kernel, as GRUB starts one."""
    return KernelBoot(fetched.image)


def as_kernel_with_script(fetched: Fetched) -> Boot:
    """Return the same with the address' script as its initramfs."""
    return KernelBoot(fetched.image, (fetched.script(),))


def from_esp(fetched: Fetched) -> Boot:
    """Return the boot from a stick whose only program is the image."""
    return UsbBoot(write_esp(fetched.image.with_suffix(".esp"), fetched.image.read_bytes()))


def from_arm_esp(fetched: Fetched) -> Boot:
    """Return the same for arm64."""
    esp = fetched.image.with_suffix(".esp")
    return UsbBoot(write_esp(esp, fetched.image.read_bytes(), ARM_LOADER))


def from_arm_esp_as_script(fetched: Fetched) -> Boot:
    """Return the boot from a stick with iPXE for arm64, and the image beside it."""
    esp = fetched.image.with_suffix(".esp")
    write_esp(esp, read_programs()["ipxe-arm64.efi"], ARM_LOADER)
    run(["mcopy", "-i", esp, fetched.image, f"::{SCRIPT}"], timeout_s=60)
    return UsbBoot(esp)


def from_network(fetched: Fetched) -> Boot:
    """Return the boot of the image by TFTP, from the firmware."""
    return NetworkBoot(fetched.image.parent, fetched.image.name)


def from_network_with_script(fetched: Fetched) -> Boot:
    """Return the same, with the address' script beside the image's file."""
    fetched.script()
    return from_network(fetched)


def from_card(fetched: Fetched) -> Boot:
    """Return the boot by a card's own iPXE, which runs the image as a script."""
    return from_network(fetched)


def from_ipxe(fetched: Fetched) -> Boot:
    """Return the boot by a card's own iPXE, which starts the image as a kernel."""
    script = fetched.image.parent / "boot.ipxe"
    script.write_text(CHAIN.replace("image", fetched.image.name))
    return NetworkBoot(script.parent, script.name)


BY_FIRMWARE = (from_network, from_network_with_script)


class Case(NamedTuple):
    """A kind, how it is started and by what, and the address that it is fetched from."""

    kind: str
    boot: Callable[[Fetched], Boot]
    firmware: Firmware
    address: str
    architecture: Architecture = "amd64"

    @property
    def path(self) -> str:
        """Return the path of the whole address."""
        return f"/{self.kind}/{self.address}" if KINDS[self.kind].max_parts else f"/{self.kind}"

    @property
    def name(self) -> str:
        """Return the name of the test."""
        form = {SHORT: "short", UPSTREAMS: "upstreams", WITH_KERNEL: "kernel"}[self.address]
        how = self.boot.__name__
        return f"{self.kind}-{how}-{self.firmware}-{self.architecture}-{form}"


CASES = [
    Case("ipxe", from_card, "bios", SHORT),
    Case("ipxe", from_card, "uefi", UPSTREAMS),
    Case("ipxe", from_arm_esp_as_script, "uefi", UPSTREAMS, "arm64"),
    Case("usb", from_stick, "bios", UPSTREAMS),
    Case("usb", from_stick, "uefi", WITH_KERNEL),
    Case("usb", from_stick, "uefi", SHORT, "arm64"),
    Case("uefimg", from_disk, "bios", SHORT),
    Case("uefimg", from_disk, "uefi", UPSTREAMS),
    Case("uefimg", from_stick, "uefi", WITH_KERNEL, "arm64"),
    Case("iso", from_cd, "bios", UPSTREAMS),
    Case("iso", from_stick, "bios", SHORT),
    Case("iso", from_cd, "uefi", SHORT),
    Case("iso", from_stick, "uefi", UPSTREAMS),
    Case("iso", from_stick, "uefi", UPSTREAMS, "arm64"),
    Case("uefi", from_esp, "uefi", SHORT),
    Case("uefi", from_network, "uefi", UPSTREAMS),
    Case("uefi-arm64", from_arm_esp, "uefi", SHORT, "arm64"),
    Case("uefi-arm64", from_arm_esp, "uefi", UPSTREAMS, "arm64"),
    Case("snponly", from_network, "uefi", SHORT),
    Case("snponly", from_network, "uefi", UPSTREAMS),
    Case("krn", as_kernel, "bios", SHORT),
    Case("krn", from_ipxe, "bios", UPSTREAMS),
    Case("full", from_cd, "bios", UPSTREAMS),
    Case("full", from_stick, "uefi", SHORT),
    Case("secure", from_stick, "uefi-secure", SHORT),
    Case("secure", from_stick, "uefi-secure", UPSTREAMS),
    Case("uki", from_esp, "uefi", SHORT),
    Case("uki", from_esp, "uefi", UPSTREAMS),
    Case("krn-generic", as_kernel_with_script, "bios", UPSTREAMS),
    Case("uefi-generic", from_network_with_script, "uefi", UPSTREAMS),
    Case("krn-provision", as_kernel, "bios", SHORT),
    Case("uefi-provision", from_esp, "uefi", SHORT),
    Case("usb-provision", from_stick, "bios", SHORT),
    Case("usb-provision", from_stick, "uefi", SHORT),
    Case("iso-provision", from_cd, "bios", SHORT),
    Case("iso-provision", from_cd, "uefi", SHORT),
]


def test_every_kind_is_booted_by_each_firmware_and_from_each_form_of_its_address() -> None:
    missing: set[tuple[object, ...]] = set()
    for name, kind in KINDS.items():
        cases = [case for case in CASES if case.kind == name]
        firmware = {("bios", "amd64")} if "bios" in kind.firmware else set()
        firmware |= {("uefi", each) for each in kind.architecture if "uefi" in kind.firmware}
        booted = {(case.firmware.partition("-")[0], case.architecture) for case in cases}
        missing |= {(name, *each) for each in firmware - booted}
        if kind.max_parts:
            missing |= {(name, form) for form in {SHORT, UPSTREAMS} - {c.address for c in cases}}
    assert missing == set()


def make_server(folder: Path, url: str) -> CountedApp:
    """Return a bootstrap server with a release that no machine can run."""
    channel = folder / "releases" / "dev"
    channel.mkdir(parents=True)
    (channel / "vmlinuz").write_bytes(b"not a kernel" * 1000)
    (channel / "initramfs.zst").write_bytes(b"not an archive" * 1000)
    return CountedApp(create_app(Settings(url, url, folder / "releases")))


def test_a_cd_reaches_the_server(tmp_path: Path, artefacts: Path) -> None:
    """One kind for all, as far as the kernel; below they are booted to the end."""
    need_tool("qemu-system-x86_64")
    need_uefi()
    listener = open_listener("127.0.0.1", 0)
    bootstrap = make_server(tmp_path, f"http://{HOST}:{listener.getsockname()[1]}")
    server = bootstrap.app.state.server
    script = server.script(parse_address(["dev", "42"]))
    image = tmp_path / "image.iso"
    image.write_bytes(b"".join(make_image(server.templates, KINDS["iso"], script).parts))
    config = MachineConfig(boot=IsoBoot(image), firmware="uefi")
    with serve_in_thread(bootstrap, listener), QemuMachine(config, artefacts=artefacts) as machine:
        machine.wait_for_console_text("Zero-OS: run mode dev, farm 42", STAGE_S)
        machine.wait_for_console_text("/vmlinuz... ok", STAGE_S)
    assert bootstrap.bytes_below("/kernel/dev/") > 0


@pytest.fixture(scope="module")
def amd64(
    release: Release, hub: LocalHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Return a server with a release for x86-64."""
    with serve_release(release, hub.root, tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture(scope="module")
def arm64(
    arm_release: Release, arm_hub: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Return a server with a release for arm64."""
    with serve_release(arm_release, arm_hub, tmp_path_factory.mktemp("arm-served")) as served:
        yield served


@pytest.mark.matrix
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_kind_boots_a_node(
    case: Case, request: pytest.FixtureRequest, tmp_path: Path, artefacts: Path
) -> None:
    need_tool("qemu-system-aarch64" if case.architecture == "arm64" else "qemu-system-x86_64")
    if case.firmware != "bios":
        need_uefi(case.architecture)
    served = request.getfixturevalue(case.architecture)
    is_secure = case.firmware == "uefi-secure"
    kind = KINDS[case.kind]
    (tmp_path / "media").mkdir()
    image = served.fetch(case.path, tmp_path / "media" / f"image{kind.suffix}")
    config = MachineConfig(
        boot=case.boot(Fetched(image, served, case.address)),
        firmware=case.firmware,
        architecture=case.architecture,
        variables=request.getfixturevalue("variables") if is_secure else None,
        memory_mib=MEMORY_MIB,
        extra_args=NO_ROM if case.boot in BY_FIRMWARE else (),
    )
    before = served.app.bytes_below("/kernel/dev/")
    with QemuMachine(config, artefacts=artefacts) as machine:
        line = machine.wait_for_console_text("Kernel command line: ", timeout_s=READY_S)
        machine.wait_for_console_text(f"bringup: node ready: farm {FARM}", timeout_s=READY_S)
    assert (SAID in line.text) == (case.address != SHORT), line.text
    # The network brought the kernel, unless it was in the image.
    has_fetched = served.app.bytes_below("/kernel/dev/") > before
    assert has_fetched == (kind.source not in OF_RELEASES)
