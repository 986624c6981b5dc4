"""A farm's script under other iPXEs than the one of its image: a card's own, or an older one."""

from pathlib import Path

import pytest

from bootstrap_server.images import inputs
from bootstrap_server.images.personalise import personalise
from bootstrap_server.images.template import load_templates
from bootstrap_server.options.model import Options
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.debian.lock import DebianLock
from common.debian.pool import GoneError
from qemu.machine import QemuMachine
from qemu.model import Firmware, MachineConfig, NetworkBoot, UsbBoot
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.counted import CountedApp
from tests.helpers.needs import need_tool, need_uefi

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
HOST = "10.0.2.2"
STAGE_S = 120


def make_server(folder: Path, url: str) -> CountedApp:
    """Return a bootstrap server with a release that no machine can run."""
    channel = folder / "releases" / "dev"
    channel.mkdir(parents=True)
    (channel / "vmlinuz").write_bytes(b"not a kernel" * 1000)
    (channel / "initramfs.zst").write_bytes(b"not an archive" * 1000)
    settings = Settings(public_url=url, hub_url=url, releases=folder / "releases", page_url=url)
    return CountedApp(create_app(settings))


def test_an_old_ipxe_gets_as_far_as_the_kernel(tmp_path: Path, artefacts: Path) -> None:
    """Debian 12's cards have iPXE of 2019. What it has loaded before is not given to the kernel."""
    need_tool("qemu-system-x86_64")
    listener = open_listener("127.0.0.1", 0)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    bootstrap = make_server(tmp_path, url)
    (tmp_path / "other.img").write_bytes(b"an image of the farmer's own")
    chain = f"#!ipxe\ndhcp\ninitrd tftp://{HOST}/other.img\nchain {url}/ipxe/dev/1\n"
    (tmp_path / "boot.ipxe").write_text(chain)
    config = MachineConfig(boot=NetworkBoot(tmp_path, "boot.ipxe"))
    with serve_in_thread(bootstrap, listener), QemuMachine(config, artefacts=artefacts) as machine:
        machine.wait_for_console_text("Zero-OS: fetching kernel and initramfs", STAGE_S)
        machine.wait_for_console_text("Zero-OS: starting the kernel", STAGE_S)
        shown = [line.text for line in machine.console_lines()]
    assert bootstrap.bytes_below("/kernel/dev/") > 0, shown
    refused = [line for line in shown if "Unrecognised" in line or "command not found" in line]
    assert set(refused) <= {"console: command not found"}


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_an_image_works_with_the_ipxe_that_takes_the_place_of_one_that_is_gone(
    firmware: Firmware, tmp_path: Path, artefacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_tool("qemu-system-x86_64")
    if firmware == "uefi":
        need_uefi()

    def fetch_locked(lock: DebianLock) -> Path:
        raise GoneError(f"cannot fetch iPXE {inputs.ipxe_version(lock)}")

    monkeypatch.setattr(inputs, "fetch_locked", fetch_locked)
    version = inputs.ipxe_version(inputs.read_locks()[inputs.OLDER_IPXE])
    listener = open_listener("127.0.0.1", 0)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    image = tmp_path / "farm.img"
    script = render_script(Options("dev", 1), Site(url, url))
    image.write_bytes(b"".join(personalise(load_templates()["usb"], script).parts))
    config = MachineConfig(boot=UsbBoot(image), firmware=firmware)
    bootstrap = make_server(tmp_path, url)
    with serve_in_thread(bootstrap, listener), QemuMachine(config, artefacts=artefacts) as machine:
        machine.wait_for_console_text(version.partition("+")[0], STAGE_S)
        machine.wait_for_console_text("/vmlinuz... ok", STAGE_S)
