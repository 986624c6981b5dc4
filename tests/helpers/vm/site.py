"""A hub and a bootstrap server whose channel names a set of flists, and nodes that follow it."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app as create_bootstrap
from common.releases.flists import CORE, WORKLOAD, ReleaseFlist
from flist.cli import main as run_flist
from flist.hub.app import create_app
from flist.pack.pack import pack
from flist.store.routed import parse_route
from image.model import Release
from image.parts.project import ROOT_FILE
from qemu.machine import QemuMachine
from qemu.model import Disk
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.node.disk import make_image
from tests.helpers.releases.store import Maintainer
from tests.helpers.vm.node import BOOT_S, CORE_S, boot_node
from tests.helpers.waiting import wait_until
from zero_os.boot.cli import sent_bytes
from zero_os.boot.core import CORE_NAME
from zero_os.boot.hub import NAME, LocalHub, file_digest
from zero_os.boot.node import REDIS_PORT, ask_workload

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
        self.root = hub
        self.about = {"identity": about["identity"], "kernel": about["kernel"]}
        self.set = self.hold((CORE, CORE_NAME), (WORKLOAD, NAME))
        self.disk = make_image(folder / "cache.img", "btrfs", "zos-cache", DISK_BYTES)
        self.doors = [open_listener("127.0.0.1", 0) for _ in range(2)]
        self.urls = [f"http://10.0.2.2:{door.getsockname()[1]}" for door in self.doors]

    def hold(self, *flists: tuple[str, str], **fields: Any) -> str:
        """Let the channel hold a release with these flists, (role, name); return its version."""
        rows = [describe(self.root, *one).to_json() for one in flists]
        return self.publish(rows, **fields)

    def publish(self, rows: list[dict[str, Any]], **fields: Any) -> str:
        """Let the channel hold a release with a set of which a manifest says these rows."""
        about = {**self.about, **fields}
        return self.maintainer.publish("dev", self.release.version, flists=rows, **about)

    def change(self, old: str, new: str, files: Mapping[str, str]) -> str:
        """Put a copy of a flist into the hub in which some files are other ones."""
        root = Path(tempfile.mkdtemp(dir=self.folder))
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        for folder in (root, *root.rglob("*/")):
            folder.chmod(0o755)
        flists = self.root.root / "flists"
        layer = root.with_suffix(".fl")
        pack(root, layer, [parse_route(f"dir://{self.root.root / 'blocks'}")])
        words = ["merge", "-o", str(flists / f"{new}.fl"), str(layer), str(flists / f"{old}.fl")]
        assert run_flist(words, "zos flist") == 0
        return new

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        """Run both servers."""
        store, root = self.maintainer.layout.top, self.maintainer.root
        bootstrap = create_bootstrap(Settings(self.urls[1], self.urls[0], store=store, root=root))
        with serve_in_thread(self.hub, self.doors[0]), serve_in_thread(bootstrap, self.doors[1]):
            yield

    @contextlib.contextmanager
    def boot(
        self,
        name: str,
        more: str = "",
        *,
        has_disk: bool = True,
        within_s: float = CORE_S,
        files: Mapping[str, str] | None = None,
    ) -> Iterator[QemuMachine]:
        """Boot a node with the disk until its workload and core are up; `more` are parameters,
        `files` are added to its initramfs."""
        words = f"runmode=dev farmer_id=1 hub={self.urls[0]} bootstrap={self.urls[1]} {more}"
        with boot_node(
            self.release,
            self.folder / name,
            append=words,
            files={ROOT_FILE: self.maintainer.root.decode(), **(files or {})},
            has_agent=True,
            forwards=(REDIS_PORT,),
            disks=(Disk(self.disk, is_writable=True),) if has_disk else (),
        ) as machine:
            machine.wait_for_console_text("bringup: node ready", timeout_s=within_s)
            machine.wait_for_console_text("bringup: core ready", timeout_s=within_s)
            wait_for_redis(machine)
            yield machine

    def sent(self) -> int:
        """Return how many bytes the hub has sent."""
        return sent_bytes(self.hub, "/")


def describe(hub: LocalHub, role: str, name: str) -> ReleaseFlist:
    """Return what a manifest says of a flist."""
    file = hub.root / "flists" / f"{name}.fl"
    return ReleaseFlist(role, name, file_digest(file), file.stat().st_size)
