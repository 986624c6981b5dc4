"""A release for arm64 boots to its workload: nothing of it has been run where it was built."""

import urllib.request
from pathlib import Path

import pytest

from common.debian.archive import open_archive
from common.debian.fetch import fetch_newest
from flist.hub.app import create_app
from flist.pack.pack import pack
from flist.store.routed import parse_route
from image.formats.elf import is_elf
from image.model import Release
from image.release.build import build_release
from image.release.listing import read_initramfs
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.vm.node import boot_node
from tests.helpers.waiting import wait_until
from zero_os.boot.hub import NAME, make_signing_key, sign_flist_file

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
BOOT_S = 900
FAST = 1
EM_AARCH64 = 183
PORT = 8000
ANSWER = b"from a flist"
# busybox is a program for arm64, linked statically.
SERVICE = f"exec: /usr/bin/busybox httpd -f -p {PORT} -h /srv\n"
LOOK = """
import os
print(os.uname().machine)
print(*sorted(os.listdir("/sys/class/net")))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Return the folder of a hub whose flist is a web server for arm64."""
    root = tmp_path / "root"
    for name, text in (("etc/zinit/web.yaml", SERVICE.encode()), ("srv/index.html", ANSWER)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text)
    _, archive = fetch_newest(["busybox-static"], architecture="arm64", progress=print)
    with open_archive(archive) as packages:
        packages.unpack(["usr/bin/busybox"], root)
    folder = tmp_path / "hub"
    flist = folder / "flists" / f"{NAME}.fl"
    flist.parent.mkdir(parents=True)
    (folder / "blocks").mkdir()
    pack(root, flist, [parse_route(f"dir://{folder / 'blocks'}")])
    sign_flist_file(flist, make_signing_key())
    return folder


@pytest.fixture(scope="module")
def arm_release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return a release for arm64 with the agent."""
    return build_release(
        tmp_path_factory.mktemp("arm-release"),
        profile="metal-arm64",
        flist_keys=make_signing_key().with_suffix(".pub"),
        progress=print,
        level=FAST,
        allow_unlocked=True,
        is_debug=True,
    )


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
    arm_release: Release, hub: Path, artefacts: Path, artefact: str
) -> None:
    need_tool("qemu-system-aarch64")
    need_uefi("arm64")
    assert machines_of(arm_release) == {EM_AARCH64}
    listener = open_listener("127.0.0.1", 0)
    with (
        serve_in_thread(create_app(hub), listener),
        boot_node(
            arm_release,
            artefacts,
            append=f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}",
            has_agent=True,
            forwards=(PORT,),
            architecture="arm64",
            is_uki=artefact == "zos.efi",
        ) as machine,
    ):
        ready = machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
        assert ready.text.endswith("services web")
        machine.guest.wait_until_ready(BOOT_S)
        said = machine.guest.python(LOOK).split()
        assert said[:3] == ["aarch64", "eth0", "lo"]
        url = f"http://127.0.0.1:{machine.forwarded_port(PORT)}/"
        wait_until(lambda: fetch(url) == ANSWER, "the workload's answer")
