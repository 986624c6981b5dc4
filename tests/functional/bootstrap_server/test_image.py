"""The image itself, inspected with other tools than those that built it."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from bootstrap_server.images import disk, inputs
from bootstrap_server.images.personalise import personalise
from bootstrap_server.images.template import RECIPES, Template, build_templates, load_templates
from bootstrap_server.options.parse import parse_address
from bootstrap_server.script.boot import SLOT_BYTES, fill_slot, render_script
from bootstrap_server.script.site import Site
from serving.content import Pieces
from tests.helpers.needs import need_tool

pytestmark = pytest.mark.timeout(900)  # the first template on a machine fetches packages
OFFSET = disk.PARTITION_START * disk.SECTOR_BYTES
SITE = Site("http://boot.example", "http://hub")
SCRIPT = render_script(parse_address(["dev", "42", "zos-debug"]), SITE)


def whole(image: Pieces) -> bytes:
    return b"".join(image.parts)


@pytest.fixture(scope="module")
def template() -> Template:
    need_tool("apt-get")
    return load_templates()["usb"]


@pytest.fixture
def image(template: Template, tmp_path: Path) -> Path:
    path = tmp_path / "farm.img"
    path.write_bytes(whole(personalise(template, SCRIPT)))
    return path


def mtools(name: str, image: Path, *words: str) -> bytes:
    need_tool(name)
    call = [name, *words[:-1], "-i", f"{image}@@{OFFSET}", words[-1]]
    return subprocess.run(call, check=True, capture_output=True, timeout=120).stdout


def test_two_builds_are_the_same_bytes(template: Template) -> None:
    found, cached = inputs.find_inputs(), load_templates()
    one, two = build_templates(found), build_templates(found)
    assert {name: hashlib.sha256(data).hexdigest() for name, data in one.items()} == {
        name: template.digest for name, template in cached.items()
    }
    assert one == two
    assert set(one) == set(RECIPES)
    assert one["usb"] == template.data


def test_both_boot_loaders_read_the_script(image: Path) -> None:
    assert mtools("mtype", image, "::/autoexec.ipxe") == fill_slot(SCRIPT)
    assert b"INITRD autoexec.ipxe" in mtools("mtype", image, "::/syslinux.cfg")


def test_the_image_has_both_boot_loaders(image: Path) -> None:
    listing = mtools("mdir", image, "-/", "-b", "-a", "::/").decode().split()
    names = {name.removeprefix("::/").lower() for name in listing}
    assert {"efi/boot/bootx64.efi", "ipxe.krn", "syslinux.cfg", "ldlinux.sys"} <= names
    assert mtools("mtype", image, "::/EFI/BOOT/BOOTX64.EFI").startswith(b"MZ")
    assert mtools("mtype", image, "::/ipxe.krn")[510:512] == b"\x55\xaa"


def test_the_file_system_is_clean(image: Path, tmp_path: Path) -> None:
    need_tool("fsck.fat")
    partition = tmp_path / "partition"
    partition.write_bytes(image.read_bytes()[OFFSET:])
    call = ["fsck.fat", "-n", "-v", str(partition)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 bits/entry" in done.stdout or "FAT16" in done.stdout or "2 FATs" in done.stdout


def test_images_of_two_farms_differ_only_in_the_slot(template: Template) -> None:
    other = render_script(parse_address(["prod", "7"]), SITE)
    one, two = whole(personalise(template, SCRIPT)), whole(personalise(template, other))
    (slot,) = template.slots
    end = slot + SLOT_BYTES
    assert len(one) == len(two) == disk.DISK_BYTES
    assert one[:slot] == two[:slot] == template.data[:slot]
    assert one[end:] == two[end:]
    assert one[slot:end] != two[slot:end]
    assert personalise(template, SCRIPT).etag != personalise(template, other).etag
    assert personalise(template, SCRIPT).etag == personalise(template, SCRIPT).etag
