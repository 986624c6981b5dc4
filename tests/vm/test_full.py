"""An image with the whole of a release boots to its workload from CD and stick, BIOS and UEFI.

The machine's only network is one where no bootstrap server answers.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap_server.channels.bootable import ReleaseImages
from bootstrap_server.channels.sources import FolderSource
from bootstrap_server.options.parse import parse_address
from bootstrap_server.script.boot import command_line
from bootstrap_server.script.site import Site
from flist.hub.app import create_app
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import Boot, Firmware, IsoBoot, MachineConfig, UsbBoot
from serving.content import FileOpener
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.vm.esp import write_esp
from zero_os.boot.hub import LocalHub

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(1200)]
BOOT_S = 600
NOWHERE = "http://10.0.2.2:9"


@pytest.mark.parametrize(
    ("name", "boot", "firmware"),
    [
        ("full", IsoBoot, "bios"),
        ("full", UsbBoot, "bios"),
        ("full", IsoBoot, "uefi"),
        ("full", UsbBoot, "uefi"),
        ("uki", UsbBoot, "uefi"),
    ],
)
def test_an_image_with_a_release_needs_no_bootstrap_server(
    release: Release,
    hub: LocalHub,
    name: str,
    boot: Callable[[Path], Boot],
    firmware: Firmware,
    tmp_path: Path,
    artefacts: Path,
) -> None:
    need_tool("qemu-system-x86_64")
    if firmware == "uefi":
        need_uefi()
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "dev").mkdir()
    for file in ("vmlinuz", "initramfs.zst", "zos.efi"):
        os.link(release.folder / file, tmp_path / "releases" / "dev" / file)
    listener = open_listener("127.0.0.1", 0)
    site = Site(NOWHERE, f"http://10.0.2.2:{listener.getsockname()[1]}")
    line = command_line(parse_address(["dev", "42"]), site)
    source = FolderSource(tmp_path / "releases", FileOpener())
    opened = ReleaseImages(source).open(name, "dev", line)
    image = tmp_path / name
    image.write_bytes(opened.patch(0, os.pread(opened.file.handle, opened.size, 0)))
    opened.close()
    if name == "uki":
        image = write_esp(tmp_path / "esp", image.read_bytes())
    config = MachineConfig(boot=boot(image), firmware=firmware, memory_mib=2048)
    with serve_in_thread(create_app(hub.root), listener):
        with QemuMachine(config, artefacts=artefacts) as machine:
            machine.wait_for_console_text("bringup: node ready: farm 42", timeout_s=BOOT_S)
