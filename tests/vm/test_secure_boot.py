"""UEFI boots a release's zos.efi: with Secure Boot only as it was signed, and measured by a TPM."""

import os
from pathlib import Path

import pytest

from bootstrap_server.channels.bootable import SECURE, ReleaseImages
from bootstrap_server.channels.secure import ADDON
from bootstrap_server.channels.sources import FolderSource
from bootstrap_server.images import disk
from bootstrap_server.options.parse import parse_address
from bootstrap_server.script.boot import command_line
from bootstrap_server.script.site import Site
from common.efi.addon import make_addon
from common.efi.authenticode import sign_image, strip_signatures
from common.run import run
from flist.hub.app import create_app
from image.cli import main
from image.efi.uki import replace_sections
from image.efi.variables import ATTRIBUTES, VENDORS
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import Firmware, KernelBoot, MachineConfig, UsbBoot
from serving.content import FileOpener
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.efi import secure_boot_keys, signer
from tests.helpers.needs import need_tool
from tests.helpers.vm.esp import write_esp
from zero_os.boot.hub import LocalHub

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]
BOOT_S = 600  # 45 s
REFUSED_S = 300  # 15 s
MOUNT = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b"none", b"{1}", b"{0}", 0, None) == 0, ctypes.get_errno()
"""
EFIVARS = "/sys/firmware/efi/efivars"
LOG = "/sys/kernel/security/tpm0/binary_bios_measurements"
REGISTER = "/sys/class/tpm/tpm0/pcr-sha256/{}"


@pytest.fixture(scope="module")
def small_uki(debug_release: Release) -> bytes:
    """Return a UKI without a signature whose initramfs is next to nothing."""
    bare = strip_signatures((debug_release.folder / "zos.efi").read_bytes())
    return replace_sections(bare, {".initrd": b"\0" * 512})


@pytest.mark.parametrize(
    "firmware", ["uefi-secure", pytest.param("uefi", marks=pytest.mark.matrix)]
)
def test_a_signed_release_boots_as_its_manifest_foretells(
    debug_release: Release,
    variables: Path,
    tmp_path: Path,
    artefacts: Path,
    firmware: Firmware,
    capsys: pytest.CaptureFixture[str],
) -> None:
    need_tool("qemu-system-x86_64")
    need_tool("swtpm")
    uki = (debug_release.folder / "zos.efi").read_bytes()
    config = MachineConfig(
        boot=UsbBoot(write_esp(tmp_path / "esp.img", uki)),
        firmware=firmware,
        variables=variables if firmware == "uefi-secure" else None,
        memory_mib=2048,
        has_agent=True,
        has_tpm=True,
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        machine.guest.wait_until_ready(BOOT_S)
        machine.guest.python(MOUNT.format("securityfs", "/sys/kernel/security"))
        log = tmp_path / "log"
        log.write_bytes(machine.guest.read_file(LOG))
        assert main(["pcrs", str(debug_release.folder), "--event-log", str(log)], "zos image") == 0
        said = capsys.readouterr().out
        assert f"Secure Boot was {'on' if firmware == 'uefi-secure' else 'off'}" in said
        for number in (4, 11):
            value = machine.guest.read_file(REGISTER.format(number)).decode().strip().lower()
            assert f"PCR {number:>2}  {value}  as foretold\n" in said
    shown = (artefacts / "console.log").read_text(errors="replace")
    assert ("EFI stub: UEFI Secure Boot is enabled." in shown) == (firmware == "uefi-secure")


@pytest.mark.matrix
def test_a_farms_own_uki_boots_to_its_workload(
    release: Release, hub: LocalHub, variables: Path, tmp_path: Path, artefacts: Path
) -> None:
    need_tool("qemu-system-x86_64")
    keys, uki = secure_boot_keys(), tmp_path / "farm.efi"
    listener = open_listener("127.0.0.1", 0)
    words = ["runmode=dev", "farmer_id=7", f"hub=http://10.0.2.2:{listener.getsockname()[1]}"]
    signing = ["--secure-boot-key", f"{keys}/db.key", "--secure-boot-certificate", f"{keys}/db.crt"]
    call = ["uki", str(release.folder / "zos.efi"), "--output", str(uki), *signing]
    assert main([*call, "--append", *words], "zos image") == 0
    config = MachineConfig(
        boot=KernelBoot(uki), firmware="uefi-secure", variables=variables, memory_mib=2048
    )
    with serve_in_thread(create_app(hub.root), listener):
        with QemuMachine(config, artefacts=artefacts) as machine:
            machine.wait_for_console_text("UEFI Secure Boot is enabled.", timeout_s=BOOT_S)
            machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)


def write_farms_image(release: Release, folder: Path, line: str) -> Path:
    """Return the bootstrap server's image for Secure Boot of a release, signed with db's key."""
    channel = folder / "releases" / "dev"
    channel.mkdir(parents=True)
    for name in ("vmlinuz", "initramfs.zst"):
        os.link(release.folder / name, channel / name)
    uki = strip_signatures((release.folder / "zos.efi").read_bytes())
    (channel / "zos.efi").write_bytes(sign_image(uki, signer()))
    source = FolderSource(folder / "releases", FileOpener())
    opened = ReleaseImages(source, signer()).open(SECURE, "dev", line)
    image = folder / "secure.img"
    image.write_bytes(opened.patch(0, os.pread(opened.file.handle, opened.size, 0)))
    opened.close()
    return image


@pytest.mark.matrix
def test_the_bootstrap_servers_image_boots_to_its_farms_workload(
    release: Release, hub: LocalHub, variables: Path, tmp_path: Path, artefacts: Path
) -> None:
    need_tool("qemu-system-x86_64")
    listener = open_listener("127.0.0.1", 0)
    site = Site("http://10.0.2.2:9", f"http://10.0.2.2:{listener.getsockname()[1]}")
    line = command_line(parse_address(["dev", "42"]), site)
    image = write_farms_image(release, tmp_path, line)
    config = MachineConfig(
        boot=UsbBoot(image), firmware="uefi-secure", variables=variables, memory_mib=2048
    )
    with serve_in_thread(create_app(hub.root), listener):
        with QemuMachine(config, artefacts=artefacts) as machine:
            machine.wait_for_console_text("UEFI Secure Boot is enabled.", timeout_s=BOOT_S)
            machine.wait_for_console_text("bringup: node ready: farm 42", timeout_s=BOOT_S)


@pytest.mark.matrix
def test_a_farm_that_another_key_signed_is_not_used(
    release: Release, variables: Path, tmp_path: Path, artefacts: Path
) -> None:
    """The stub says that it leaves the add-on out, and boots the release without a farm."""
    need_tool("qemu-system-x86_64")
    need_tool("mcopy")
    image = write_farms_image(release, tmp_path, "farmer_id=42")
    addon = tmp_path / "other.efi"
    addon.write_bytes(make_addon(b"farmer_id=42", 64, signer("KEK")))
    start = disk.PARTITION_START * disk.SECTOR_BYTES
    run(["mcopy", "-o", "-i", f"{image}@@{start}", addon, f"::{ADDON}"], timeout_s=60)
    config = MachineConfig(
        boot=UsbBoot(image), firmware="uefi-secure", variables=variables, memory_mib=2048
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        left_out = machine.wait_for_console_text("farm.addon.efi", timeout_s=BOOT_S)
        assert left_out.text.rstrip().endswith("ignoring: Access denied")
        machine.wait_for_console_text("UEFI Secure Boot is enabled.", timeout_s=BOOT_S)
        said = machine.wait_for_console_text("Kernel command line:", timeout_s=BOOT_S)
        assert "farmer_id" not in said.text


@pytest.mark.matrix
def test_a_machine_in_setup_mode_takes_the_signed_variables(
    debug_release: Release, tmp_path: Path, artefacts: Path
) -> None:
    """The node itself sets them, as a firmware's menu would; then Secure Boot is on."""
    need_tool("qemu-system-x86_64")
    keys, output = secure_boot_keys(), tmp_path / "variables"
    assert main(["enroll", str(keys), "--output", str(output)], "zos image") == 0
    uki = (debug_release.folder / "zos.efi").read_bytes()
    config = MachineConfig(
        boot=UsbBoot(write_esp(tmp_path / "esp.img", uki)),
        firmware="uefi-secure",
        memory_mib=2048,
        has_agent=True,
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        machine.guest.wait_until_ready(BOOT_S)
        machine.guest.python(MOUNT.format("efivarfs", EFIVARS))
        for name in ("db", "KEK", "PK"):
            path = f"{EFIVARS}/{name}-{VENDORS[name]}"
            attributes = ATTRIBUTES.to_bytes(4, "little")
            content = attributes + (output / f"{name}.auth").read_bytes()
            machine.guest.write_file(f"/run/{name}", content)
            machine.guest.python(
                f"import os; data = open('/run/{name}', 'rb').read();"
                f"handle = os.open('{path}', os.O_WRONLY | os.O_CREAT);"
                f"assert os.write(handle, data) == len(data)"
            )
        since = machine.console.position
        machine.reset()
        enabled = "EFI stub: UEFI Secure Boot is enabled."
        machine.wait_for_console_text(enabled, timeout_s=BOOT_S, since=since)


@pytest.mark.parametrize(
    "how",
    ["altered", *(pytest.param(how, marks=pytest.mark.matrix) for how in ("bare", "other key"))],
)
def test_what_was_not_signed_does_not_boot(
    small_uki: bytes, variables: Path, tmp_path: Path, artefacts: Path, how: str
) -> None:
    need_tool("qemu-system-x86_64")
    uki = small_uki
    if how == "altered":
        altered = bytearray(sign_image(uki, signer()))
        altered[len(altered) // 2] ^= 1
        uki = bytes(altered)
    elif how == "other key":
        uki = sign_image(uki, signer("KEK"))
    config = MachineConfig(
        boot=UsbBoot(write_esp(tmp_path / "esp.img", uki)),
        firmware="uefi-secure",
        variables=variables,
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        line = machine.wait_for_console_text("BdsDxe: failed to load", timeout_s=REFUSED_S)
        assert line.text.endswith(("Access Denied", "Security Violation")), line.text
        assert not any("Linux version" in line.text for line in machine.console_lines())
