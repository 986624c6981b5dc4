"""A node's identity over boots: in a TPM, on the disk of the cache, and for one boot only."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.efi.sources import open_key
from common.nodes.quote import verify
from core.places import REPORT
from flist.hub.app import create_app
from image.model import Release
from image.release.unified import Signing, personalise
from qemu.machine import QemuMachine
from qemu.model import Disk, MachineConfig, UsbBoot
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.efi import secure_boot_keys, signer
from tests.helpers.needs import need_tool
from tests.helpers.node.disk import make_image
from tests.helpers.vm.esp import write_esp
from tests.helpers.vm.node import BOOT_S, boot_node
from tests.helpers.waiting import wait_until
from zero_os.boot.hub import LocalHub

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(1800)]
IDENTITY_S = 2 * BOOT_S  # a new seed takes the TPM's tools a minute on an emulated, busy machine
NONCE = "of this test"
DISK_BYTES = 1 << 30
# The quote is asked for as the user of core-report: no other gets one.
ASK = f"""
import json, os, sys
from pathlib import Path
sys.path.append("/usr/lib/zero-os")
from common.ipc.client import call
socket = Path("/run/zero-os/identity/socket")
answers = {{name: call(socket, name) for name in ("describe", "authority")}}
os.sync()
os.setuid({REPORT.number})
answers["quote"] = call(socket, "quote", 120, nonce={NONCE!r})
print(json.dumps(answers))
"""
IS_RUNNING = "core-identity: Running"
IS_NODE = re.compile(r"identity: this is node (\w+): (\w+)")


@pytest.fixture
def words(core_hub: LocalHub) -> Iterator[str]:
    """Yield the kernel parameters of a node of a hub that is served."""
    listener = open_listener("127.0.0.1", 0)
    with serve_in_thread(create_app(core_hub.root), listener):
        yield f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}"


def boot(release: Release, words: str, folder: Path, **parts: Any) -> dict[str, Any]:
    """Boot a node; return what its identity daemon answers."""
    with boot_node(release, folder, append=words, has_agent=True, **parts) as machine:
        machine.wait_for_console_text("identity: this is node", timeout_s=IDENTITY_S)
        wait_until(lambda: IS_RUNNING in machine.guest.succeed(["zinit", "list"]), "it runs", 60)
        answers: dict[str, Any] = json.loads(machine.guest.python(ASK, timeout_s=180))
        return answers


def test_a_tpm_keeps_it(release: Release, words: str, tmp_path: Path) -> None:
    need_tool("swtpm")
    first = boot(release, words, tmp_path / "first", tpm_state=tmp_path / "tpm")
    who = first["describe"]
    assert who["kind"] == "tpm", who["why"]
    assert who["why"].startswith("the TPM opens the seed for other releases, too")
    quoted = verify(first["quote"], who["node"], NONCE)
    second = boot(release, words, tmp_path / "second", tpm_state=tmp_path / "tpm")
    assert (second["describe"], second["authority"]) == (who, first["authority"])
    again = verify(second["quote"], who["node"], NONCE)
    assert again.ak == quoted.ak and again.resets > quoted.resets


def test_a_disk_keeps_it(release: Release, words: str, tmp_path: Path) -> None:
    image = make_image(tmp_path / "cache.img", "btrfs", "zos-cache", DISK_BYTES)
    disks = (Disk(image, is_writable=True),)
    first = boot(release, words, tmp_path / "first", disks=disks)
    who = first["describe"]
    assert (who["kind"], who["why"]) == ("disk", "the machine has no TPM 2.0")
    assert boot(release, words, tmp_path / "second", disks=disks) == first
    # Without that disk it is another node, and of this boot only.
    other = boot(release, words, tmp_path / "third")
    assert other["describe"]["kind"] == "ephemeral" and other["quote"] is None
    assert other["describe"]["why"] == "the machine has no TPM 2.0; there is no disk for it"
    assert other["describe"]["node"] != who["node"]


def boot_signed(
    release: Release, words: str, variables: Path, folder: Path, key: str = "KEK"
) -> tuple[str, str, str]:
    """Boot the UKI, its registers signed by `key`; return the node's id, kind and the reason."""
    signing = Signing(signer("db"), open_key(str(secure_boot_keys() / f"{key}.key")))
    uki = personalise((release.folder / "zos.efi").read_bytes(), words.split(), signing)
    folder.mkdir()
    config = MachineConfig(
        boot=UsbBoot(write_esp(folder / "esp.img", uki)),
        firmware="uefi-secure",
        variables=variables,
        memory_mib=2048,
        has_tpm=True,
        tpm_state=folder.parent / "tpm",
    )
    with QemuMachine(config, artefacts=folder) as machine:
        line = machine.wait_for_console_text("identity: this is node", timeout_s=IDENTITY_S)
        machine.wait_for_console_text("bringup: core ready", timeout_s=BOOT_S)
        found = IS_NODE.search(line.text)
        assert found, line.text
        later = [row.text for row in machine.console_lines() if row.number > line.number]
    return found[1], found[2], next((text for text in later if "identity: " in text), "")


def test_signed_registers_open_it_and_others_do_not(
    release: Release, words: str, variables: Path, tmp_path: Path
) -> None:
    """Other kernel parameters are another PCR 11, as another release would be."""
    need_tool("swtpm")
    words = f"console=ttyS0 panic=-1 {words}"
    first, *rest = boot_signed(release, words, variables, tmp_path / "first")
    assert rest == ["tpm", ""]
    again = boot_signed(release, f"{words} loglevel=5", variables, tmp_path / "again")
    assert again == (first, "tpm", "")
    other, kind, why = boot_signed(release, words, variables, tmp_path / "other", key="PK")
    assert kind == "ephemeral" and other != first
    assert "the seed in the TPM opens for the releases of the key" in why
