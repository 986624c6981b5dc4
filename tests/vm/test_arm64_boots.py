"""A release for arm64 boots to its workload: nothing of it has been run where it was built."""

import urllib.request
from pathlib import Path

import pytest

from flist.hub.app import create_app
from image.formats.elf import is_elf
from image.model import Release
from image.release.listing import read_initramfs
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.vm.node import boot_node
from tests.helpers.waiting import wait_until
from tests.vm.conftest import ARM_ANSWER, ARM_PORT

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
BOOT_S = 900
EM_AARCH64 = 183
LOOK = """
import os
print(os.uname().machine)
links = os.listdir("/sys/class/net")
print(*sorted(set(links) - {"bonding_masters"}))  # a file: drivers for workloads are loaded late
"""


def machines_of(release: Release) -> set[int]:
    """Return the processors that the programs and libraries of a release are for."""
    contents = (member.content for member in read_initramfs(release.folder))
    return {int.from_bytes(data[18:20], "little") for data in contents if is_elf(data)}


def fetch(url: str) -> bytes:
    """Return what is at `url`; nothing if the connection is refused or reset."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            content: bytes = answer.read()
            return content
    except OSError:
        return b""


@pytest.mark.parametrize("artefact", ["zos.efi", pytest.param("vmlinuz", marks=pytest.mark.matrix)])
def test_a_node_of_metal_arm64_runs_its_workload(
    arm_release: Release, arm_hub: Path, artefacts: Path, artefact: str
) -> None:
    need_tool("qemu-system-aarch64")
    need_uefi("arm64")
    assert machines_of(arm_release) == {EM_AARCH64}
    listener = open_listener("127.0.0.1", 0)
    with (
        serve_in_thread(create_app(arm_hub), listener),
        boot_node(
            arm_release,
            artefacts,
            append=f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}",
            has_agent=True,
            forwards=(ARM_PORT,),
            architecture="arm64",
            is_uki=artefact == "zos.efi",
        ) as machine,
    ):
        ready = machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
        assert ready.text.endswith("services web")
        machine.guest.wait_until_ready(BOOT_S)
        said = machine.guest.python(LOOK).split()
        assert said[:3] == ["aarch64", "eth0", "lo"]
        url = f"http://127.0.0.1:{machine.forwarded_port(ARM_PORT)}/"
        wait_until(lambda: fetch(url) == ARM_ANSWER, "the workload's answer")
