"""UEFI images trust the operator's own root, and then no other server than the operator's."""

from pathlib import Path

import pytest

from bootstrap_server.images.keys import read_root
from bootstrap_server.images.kinds import KINDS
from bootstrap_server.images.make import make_image
from bootstrap_server.images.personalise import TemplateHolder
from bootstrap_server.options.parse import parse_address
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from qemu.machine import QemuMachine
from qemu.model import MachineConfig, UsbBoot
from serving.listen import open_listener
from serving.run import serve_in_thread
from serving.settings import ServerSettings
from tests.helpers.counted import CountedApp
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.serving.certificates import make_authority
from tests.helpers.vm.esp import write_esp

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(900)]
HOST = "10.0.2.2"
STAGE_S = 400


@pytest.mark.parametrize("root", ["own", "other", "none"])
@pytest.mark.parametrize("name", ["usb", "uefi"])
def test_an_image_boots_only_from_a_server_that_its_root_vouches_for(
    name: str, root: str, tmp_path: Path, artefacts: Path
) -> None:
    need_tool("qemu-system-x86_64")
    need_uefi()
    own, other = make_authority(tmp_path / "own", HOST), make_authority(tmp_path / "other", HOST)
    fingerprint = {"own": read_root(own.root), "other": read_root(other.root), "none": b""}[root]
    channel = tmp_path / "releases" / "dev"
    channel.mkdir(parents=True)
    for file in ("vmlinuz", "initramfs.zst"):
        (channel / file).write_bytes(b"not a kernel" * 1000)
    listener = open_listener("127.0.0.1", 0)
    url = f"https://{HOST}:{listener.getsockname()[1]}"
    tls = ServerSettings(tls_cert=own.certificate, tls_key=own.key)
    bootstrap = CountedApp(create_app(Settings(url, url, tmp_path / "releases"), tls))
    script = bootstrap.state.server.script(parse_address(["dev", "42"]))
    image = tmp_path / "image"
    parts = make_image(TemplateHolder(fingerprint), KINDS[name], script).parts
    image.write_bytes(b"".join(parts))
    if name == "uefi":
        image = write_esp(tmp_path / "esp", image.read_bytes())
    config = MachineConfig(boot=UsbBoot(image), firmware="uefi")
    with serve_in_thread(bootstrap, listener), QemuMachine(config, artefacts=artefacts) as machine:
        machine.wait_for_console_text("Zero-OS: run mode dev, farm 42", STAGE_S)
        if root == "own":
            machine.wait_for_console_text("/vmlinuz... ok", STAGE_S)
        else:
            machine.wait_for_console_text("Permission denied", STAGE_S)
            assert not bootstrap.requests
