"""A network card's own iPXE, which may be years old, chains to the script of a farm."""

from pathlib import Path

import pytest

from bootstrap_server.app import create_app
from bootstrap_server.settings import Settings
from qemu.machine import QemuMachine
from qemu.model import MachineConfig, NetworkBoot
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.counted import CountedApp
from tests.helpers.needs import need_tool

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
HOST = "10.0.2.2"
STAGE_S = 120


def test_an_old_ipxe_gets_as_far_as_the_kernel(tmp_path: Path, artefacts: Path) -> None:
    """Debian 12's cards have iPXE of 2019. What it has loaded before is not given to the kernel."""
    need_tool("qemu-system-x86_64")
    channel = tmp_path / "releases" / "dev"
    channel.mkdir(parents=True)
    (channel / "vmlinuz").write_bytes(b"not a kernel" * 1000)
    (channel / "initramfs.zst").write_bytes(b"not an archive" * 1000)
    listener = open_listener("127.0.0.1", 0)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    settings = Settings(public_url=url, hub_url=url, releases=tmp_path / "releases", page_url=url)
    bootstrap = CountedApp(create_app(settings))
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
