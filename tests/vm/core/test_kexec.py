"""A node takes the kernel and initramfs of a new release without its firmware."""

import shutil
from pathlib import Path

import pytest

import qemu.agent
from common.releases.flists import CORE, WORKLOAD
from image.model import Release
from image.parts.project import KEXEC_MARK, OS_RELEASE, ROOT_FILE
from qemu.machine import QemuMachine
from tests.helpers.releases.store import write_manifest
from tests.helpers.vm.node import AGENT_SERVICE, write_overlay
from tests.helpers.vm.site import Site, ask_status, describe, wait_for_redis
from zero_os.boot.core import CORE_NAME
from zero_os.boot.hub import NAME, LocalHub

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(2400)]

UPDATE_S = 400
VERSION = "9.9.9"
BOOT_ID = "sys/kernel/random/boot_id"
# In a process of its own, as the agent ends with the other services.
REBOOT = """
import os, sys
from pathlib import Path
if os.fork() == 0:
    os.setsid()
    console = os.open("/dev/console", os.O_WRONLY)
    for number in (1, 2):
        os.dup2(console, number)
    sys.path.append("/usr/lib/zero-os")
    from common.ipc.client import call
    call(Path("/run/zero-os/door/socket"), "power.reboot", 250.0, kexec=True)
"""


def read(machine: QemuMachine, path: str) -> str:
    """Return a file of the kernel's."""
    return machine.guest.python(f"print(open({path!r}).read())").strip()


def publish_second(site: Site, hub: LocalHub) -> str:
    """Let the channel hold a release with another initramfs; return its version."""
    folder = site.folder / "second"
    folder.mkdir()
    files = {
        "etc/os-release": OS_RELEASE.format(version=VERSION, profile="virt", **site.about),
        ROOT_FILE: site.maintainer.root.decode(),
        "test/agent.py": Path(qemu.agent.__file__).read_text(),
        "etc/zinit/agent.yaml": AGENT_SERVICE,
    }
    overlay = write_overlay(folder / "overlay.zst", files).read_bytes()
    shutil.copy(site.release.folder / "vmlinuz", folder)
    first = (site.release.folder / "initramfs.zst").read_bytes()
    (folder / "initramfs.zst").write_bytes(first + bytes(-len(first) % 4) + overlay)
    flists = [describe(hub, *one).to_json() for one in ((CORE, CORE_NAME), (WORKLOAD, NAME))]
    write_manifest(folder, VERSION, flists=flists, **site.about)
    version = site.maintainer.add_folder(folder)
    site.maintainer.hold("dev", version)
    return version


def test_a_node_starts_the_kernel_of_its_channel_without_the_firmware(
    release: Release, core_hub: LocalHub, tmp_path: Path
) -> None:
    """The machine's firmware would start the first release again."""
    site = Site(release, core_hub, tmp_path)
    words = "update.interval=10 update.kexec=yes"
    with (
        site.serve(),
        site.boot(
            "node", words, has_disk=False, within_s=UPDATE_S, files={KEXEC_MARK: ""}
        ) as machine,
    ):
        boot, line = (read(machine, f"/proc/{name}") for name in (BOOT_ID, "cmdline"))
        assert read(machine, "/sys/kernel/kexec_loaded") == "0"
        second = publish_second(site, core_hub)
        machine.wait_for_console_text(f"update: generation 2 runs {second}", UPDATE_S)
        machine.wait_for_console_text(f"{second}: report: its kernel needs a reboot", UPDATE_S)
        machine.guest.python(REBOOT)
        machine.wait_for_console_text(f"kernel and initramfs of {VERSION} are loaded", UPDATE_S)
        started = machine.wait_for_console_text("starting the loaded kernel now", UPDATE_S)
        since = started.number
        machine.wait_for_console_text(f"holds this release, {second}", UPDATE_S, since=since)
        machine.wait_for_console_text("bringup: core ready", UPDATE_S, since=since)
        machine.guest.wait_until_ready()
        wait_for_redis(machine)
        status = ask_status(machine)
        assert (status["boot_version"], status["release"]) == (VERSION, second)
        assert read(machine, f"/proc/{BOOT_ID}") != boot
        assert read(machine, "/proc/cmdline") == line
        # This release does not say that other kernels may be loaded.
        assert read(machine, "/proc/sys/kernel/kexec_load_disabled") == "1"
