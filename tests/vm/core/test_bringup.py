"""A node's set of flists: from a signed channel, from the cache on a disk, and with a bad one."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app as create_bootstrap
from common.releases.flists import CORE, WORKLOAD, ReleaseFlist
from flist.hub.app import create_app
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import Disk
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.node.disk import make_image
from tests.helpers.releases.store import Maintainer
from tests.helpers.vm.node import BOOT_S, boot_node
from tests.helpers.waiting import wait_until
from zero_os.boot.cli import sent_bytes
from zero_os.boot.core import CORE_NAME
from zero_os.boot.hub import NAME, LocalHub, file_digest
from zero_os.boot.node import REDIS_PORT, ask_workload

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(1200)]
DISK_BYTES = 1 << 30
STATUS = """
import json, sys
from pathlib import Path
sys.path.append("/usr/lib/zero-os")
from common.ipc.client import call
print(json.dumps(call(Path("/run/zero-os/door/socket"), "status")))
"""


def ask_status(machine: QemuMachine) -> dict[str, Any]:
    """Return the node's status from its door."""
    status: dict[str, Any] = json.loads(machine.guest.python(STATUS))
    return status


def wait_for_redis(machine: QemuMachine) -> None:
    """Wait until the workload answers."""
    port = machine.forwarded_port(REDIS_PORT)
    wait_until(lambda: ask_workload(port) == "PONG", "Redis answers", BOOT_S)


class Site:
    """A hub and a bootstrap server whose channel dev names a set; each may be switched off."""

    def __init__(self, release: Release, hub: LocalHub, folder: Path) -> None:
        self.release = release
        self.folder = folder
        self.hub = create_app(hub.root)
        self.maintainer = Maintainer.begin(folder)
        about = json.loads((release.folder / "manifest.json").read_text())
        self.set = self.maintainer.publish(
            "dev",
            release.version,
            identity=about["identity"],
            kernel=about["kernel"],
            flists=[describe(hub, *one).to_json() for one in ((CORE, CORE_NAME), (WORKLOAD, NAME))],
        )
        self.disk = make_image(folder / "cache.img", "btrfs", "zos-cache", DISK_BYTES)
        self.doors = [open_listener("127.0.0.1", 0) for _ in range(2)]
        self.urls = [f"http://10.0.2.2:{door.getsockname()[1]}" for door in self.doors]

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        """Run both servers."""
        store, root = self.maintainer.layout.top, self.maintainer.root
        bootstrap = create_bootstrap(Settings(self.urls[1], self.urls[0], store=store, root=root))
        with serve_in_thread(self.hub, self.doors[0]), serve_in_thread(bootstrap, self.doors[1]):
            yield

    @contextlib.contextmanager
    def boot(self, name: str) -> Iterator[QemuMachine]:
        """Boot a node with the disk until its workload and core are up."""
        words = f"runmode=dev farmer_id=1 hub={self.urls[0]} bootstrap={self.urls[1]}"
        with boot_node(
            self.release,
            self.folder / name,
            append=words,
            files={"etc/zero-os/keys/root.json": self.maintainer.root.decode()},
            has_agent=True,
            forwards=(REDIS_PORT,),
            disks=(Disk(self.disk, is_writable=True),),
        ) as machine:
            machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
            machine.wait_for_console_text("bringup: core ready", timeout_s=BOOT_S)
            wait_for_redis(machine)
            yield machine

    def sent(self) -> int:
        """Return how many bytes the hub has sent."""
        return sent_bytes(self.hub, "/")


def describe(hub: LocalHub, role: str, name: str) -> ReleaseFlist:
    """Return what a manifest says of a flist."""
    file = hub.root / "flists" / f"{name}.fl"
    return ReleaseFlist(role, name, file_digest(file), file.stat().st_size)


def test_a_set_from_the_channel_then_from_the_disk(
    release: Release, core_hub: LocalHub, tmp_path: Path
) -> None:
    """The second boot fetches next to nothing, the third finds neither hub nor bootstrap server."""
    site = Site(release, core_hub, tmp_path)
    with site.serve():
        with site.boot("first") as machine:
            status = ask_status(machine)
            assert {row["role"]: row["version"] for row in status["set"]} == {
                CORE: site.set,
                WORKLOAD: site.set,
            }
            assert status["cache"]["device"] == "/dev/vda"
            assert status["problems"] == []
            first = site.sent()
            digests = [row["sha256"] for row in status["set"]]
            kept = [f"/run/zero-os/cache/zero-os/flists/{digest}.fl" for digest in digests]
            wait_until(lambda: machine.guest.succeed(["ls", *kept]), "they are kept", BOOT_S)
            machine.guest.succeed(["sync"])
        with site.boot("second") as machine:
            for name in (CORE_NAME, NAME):
                line = machine.wait_for_console_text(f"flist {name} from the cache", timeout_s=1)
                assert line.text.endswith("digest good")
        second = site.sent() - first
    print(f"bytes from the hub: first boot {first}, second boot {second}")
    assert second < first / 50
    with site.boot("third") as machine:
        machine.wait_for_console_text("from the cache, channel valid until", timeout_s=1)
        assert ask_status(machine)["stage"] == "ready"
    assert site.sent() == first + second


def test_a_core_with_a_wrong_signature_costs_the_workload_nothing(
    release: Release, core_hub: LocalHub, tmp_path: Path, artefacts: Path
) -> None:
    root = tmp_path / "hub"
    shutil.copytree(core_hub.root, root, symlinks=True)
    flist = root / "flists" / f"{CORE_NAME}.fl"
    data = bytearray(flist.read_bytes())
    data[len(data) // 2] ^= 1
    flist.unlink()
    flist.write_bytes(data)
    listener = open_listener("127.0.0.1", 0)
    words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}"
    with (
        serve_in_thread(create_app(root), listener),
        boot_node(
            release, artefacts, append=words, forwards=(REDIS_PORT,), has_agent=True
        ) as machine,
    ):
        machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
        refusal = f"bringup: core: flist {CORE_NAME} refused"
        machine.wait_for_console_text(refusal, timeout_s=BOOT_S)
        wait_for_redis(machine)
        status = ask_status(machine)
        assert status["stage"] == "ready"
        (problem,) = status["problems"]
        assert problem["code"] == "ZB43"
        assert f"flist {CORE_NAME} refused" in problem["text"]
        assert "core flist mounted" not in "".join(line.text for line in machine.console_lines())

        data[len(data) // 2] ^= 1
        flist.write_bytes(data)
        machine.wait_for_console_text("bringup: core ready", timeout_s=BOOT_S)
        wait_until(lambda: ask_status(machine)["problems"] == [], "nothing is wrong", BOOT_S)
