"""Every kind of image, started by the firmware and from the media that it is for."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bootstrap_server.images.kinds import KINDS
from bootstrap_server.images.make import make_image
from bootstrap_server.options.parse import parse_address
from bootstrap_server.script.provision import render_provision
from bootstrap_server.script.site import Site
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from qemu.machine import QemuMachine
from qemu.model import (
    Architecture,
    Boot,
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

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
HOST = "10.0.2.2"
STAGE_S = 400
CHAIN = "#!ipxe\ndhcp\nchain tftp://10.0.2.2/image\n"


def from_esp(image: Path) -> Boot:
    """Return the boot from a stick whose only program is the image."""
    return UsbBoot(write_esp(image.with_suffix(".esp"), image.read_bytes()))


def from_arm_esp(image: Path) -> Boot:
    """Return the same for arm64."""
    esp = image.with_suffix(".esp")
    return UsbBoot(write_esp(esp, image.read_bytes(), "EFI/BOOT/BOOTAA64.EFI"))


def from_network(image: Path) -> Boot:
    """Return the boot of the image by TFTP, from the firmware."""
    return NetworkBoot(image.parent, image.name)


def from_ipxe(image: Path) -> Boot:
    """Return the boot by a card's own iPXE, which starts the image as a kernel."""
    (image.parent / "boot.ipxe").write_text(CHAIN.replace("image", image.name))
    return NetworkBoot(image.parent, "boot.ipxe")


class Case(NamedTuple):
    """A kind, how it is started, and by what."""

    kind: str
    boot: Callable[[Path], Boot]
    firmware: Firmware
    architecture: Architecture = "amd64"


QUICK = Case("iso", IsoBoot, "uefi")
CASES = [
    Case("iso", IsoBoot, "bios"),
    Case("iso", UsbBoot, "bios"),
    Case("iso", UsbBoot, "uefi"),
    Case("iso", UsbBoot, "uefi", "arm64"),
    Case("usb", UsbBoot, "uefi", "arm64"),
    Case("uefimg", UsbBoot, "uefi"),
    Case("uefi", from_esp, "uefi"),
    Case("uefi", from_network, "uefi"),
    Case("uefi-arm64", from_arm_esp, "uefi", "arm64"),
    Case("snponly", from_network, "uefi"),
    Case("krn", KernelBoot, "bios"),
    Case("krn", from_ipxe, "bios"),
    Case("krn-provision", KernelBoot, "bios"),
    Case("uefi-provision", from_esp, "uefi"),
    Case("usb-provision", UsbBoot, "bios"),
    Case("iso-provision", IsoBoot, "uefi"),
]


def name_of(case: Case) -> str:
    """Return the name of a test."""
    how = getattr(case.boot, "__name__", "").lower()
    return f"{case.kind}-{how}-{case.firmware}-{case.architecture}"


def make_server(folder: Path, url: str) -> CountedApp:
    """Return a bootstrap server with a release that no machine can run."""
    channel = folder / "releases" / "dev"
    channel.mkdir(parents=True)
    (channel / "vmlinuz").write_bytes(b"not a kernel" * 1000)
    (channel / "initramfs.zst").write_bytes(b"not an archive" * 1000)
    return CountedApp(create_app(Settings(url, url, folder / "releases")))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(QUICK, id=name_of(QUICK)),
        *(pytest.param(case, id=name_of(case), marks=pytest.mark.matrix) for case in CASES),
    ],
)
def test_a_kind_reaches_the_server(case: Case, tmp_path: Path, artefacts: Path) -> None:
    need_tool("qemu-system-aarch64" if case.architecture == "arm64" else "qemu-system-x86_64")
    if case.firmware == "uefi":
        need_uefi(case.architecture)
    kind = KINDS[case.kind]
    listener = open_listener("127.0.0.1", 0)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    bootstrap = make_server(tmp_path, url)
    server = bootstrap.app.state.server
    is_personal = kind.personal == "slot"
    script = (
        server.script(parse_address(["dev", "42"]))
        if is_personal
        else render_provision(Site(url, url))
    )
    media = tmp_path / "media"
    media.mkdir()
    image = media / f"image{kind.suffix}"
    image.write_bytes(b"".join(make_image(server.templates, kind, script).parts))
    config = MachineConfig(
        boot=case.boot(image), firmware=case.firmware, architecture=case.architecture
    )
    with serve_in_thread(bootstrap, listener), QemuMachine(config, artefacts=artefacts) as machine:
        if not is_personal:
            machine.wait_for_console_text(f"Zero-OS: asking {url}", STAGE_S)
            machine.wait_for_console_text("/provision/", STAGE_S)
            return
        machine.wait_for_console_text("Zero-OS: run mode dev, farm 42", STAGE_S)
        machine.wait_for_console_text("/vmlinuz... ok", STAGE_S)
    assert bootstrap.bytes_below("/kernel/dev/") > 0
