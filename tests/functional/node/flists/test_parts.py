"""Two flists on real FUSE mounts below a real zinit: apart from one another, and from a disk."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from fastapi import FastAPI

from common.ipc.server import Peer
from common.mounts import read_mounts, unmount
from flist.format.signing.keys import generate_key, load_private_key, public_text
from flist.format.signing.sign import sign_flist
from flist.hub.app import create_app
from flist.pack.pack import pack
from flist.store.routed import parse_route
from node.flists import mounts, start
from node.flists.giving import Search
from node.flists.model import CORE, WORKLOAD, Flist, Wanted
from node.flists.mounts import unmount_everything
from node.flists.part import Part
from node.flists.prepare import Preparer
from node.flists.start import stop_services
from node.generations import updater
from node.generations.health import is_any_there
from node.generations.held import Source
from node.generations.kexec import Kexec
from node.generations.leftovers import mount_beside
from node.generations.machine import Record
from node.generations.reboots import Reboots
from node.generations.saved import Saved
from node.generations.switch import Services
from node.model import BootParameters, NodeError
from node.problems import Problems
from node.report import MachineNames, Reporter
from node.trying import Trying
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.checkout import TOP
from tests.helpers.needs import need_root, need_tool
from tests.helpers.node.disk import announce, loop_device, make_image
from tests.helpers.node.tree import make_tree
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon
from zero_os.boot.cli import sent_bytes

NAMES = {WORKLOAD: "tf-zos/development", CORE: "tf-zos/development-core"}
SERVICES = {
    WORKLOAD: {"web": "exec: sleep 10000", "core-evil": "exec: sleep 10000"},
    CORE: {"core-api": "exec: sleep 10000", "redis": "exec: sleep 10000"},
}
UP_S = 120


class Node:
    """A node whose hub has both flists; `boot` begins with nothing but the disk."""

    def __init__(self, zinit: ZinitDaemon, top: Path, app: FastAPI, url: str) -> None:
        self.zinit, self.top, self.app = zinit, top, app
        self.parameters = BootParameters("dev", 1, (url,))
        self.problems = Problems()
        self.parts: dict[str, Part] = {}
        self.home = top / "zero-os/flists"

    def boot(self) -> None:
        """Bring both up, each in its thread."""
        self.clean_up()
        search = Search(self.problems, self.top / "zero-os/cache", self.top / "sys")
        search.start()
        preparer = Preparer(self.parameters, search.result, self.top / "flist.pub", self.home)
        reporter = Reporter(self.parameters, MachineNames("", "", ""), "1.0")
        for role, name in NAMES.items():
            trying = Trying(reporter, self.problems, role)
            wanted = Wanted(role, name)
            part = Part(self.zinit.client, wanted, preparer, trying, lambda *_: None)
            self.parts[role] = part
            part.start()

    def clean_up(self) -> None:
        """Stop and unmount everything, as a node that starts anew; old threads wait for ever."""
        for part in self.parts.values():
            part.is_retired = True  # or it would ask a zinit that is gone, and say so for ever
            part.lock.acquire()
        self.parts = {}
        stop_services(self.zinit.client, self.home)
        unmount_everything(self.zinit.client, self.home)
        unmount(self.top / "zero-os/cache")

    def wait_for(self, *roles: str) -> None:
        """Wait until the services of these roles run."""
        wait_until(lambda: all(self.parts[role].is_settled for role in roles), "all is up", UP_S)

    def sent(self, prefix: str) -> int:
        """Return how many bytes the hub has sent for routes that begin with `prefix`."""
        return sent_bytes(self.app, prefix)

    def root_of(self, service: str) -> str:
        """Return the root of a service's process, "" if it has none."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return str(Path(f"/proc/{self.zinit.service_pid(service)}/root").readlink())
        return ""


def make_hub(top: Path) -> Path:
    """Pack and sign both flists; return the hub's folder."""
    key = generate_key(top / "key")
    (top / "flist.pub").write_text(f"{public_text(load_private_key(top / 'key'))}\n")
    (top / "hub/blocks").mkdir(parents=True)
    for role, name in NAMES.items():
        tree = make_tree(top / f"tree-{role}", SERVICES[role])
        (tree / "etc/passwd").write_text(f"zos-api:x:705:705::/:/{role}\n")
        flist = top / "hub/flists" / f"{name}.fl"
        flist.parent.mkdir(parents=True, exist_ok=True)
        pack(tree, flist, [parse_route(f"dir://{top / 'hub/blocks'}")])
        flist.with_suffix(".fl.sig").write_text(sign_flist(flist, name, key))
    return top / "hub"


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    need_root()
    need_tool("fusermount3")
    monkeypatch.setattr(mounts, "spare", lambda _: None)  # a container may not
    for name, folder in (
        ("KERNEL", tmp_path / "kernel"),
        ("RUN", tmp_path / "zero-os"),
        ("CACHE", tmp_path / "zero-os/cache"),
    ):
        monkeypatch.setattr(mounts, name, folder)  # never this machine's own
    for place in ("kernel/proc", "kernel/sys", "kernel/dev", "zero-os"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{TOP / '.venv/bin'}:{os.environ['PATH']}")
    app, listener = create_app(make_hub(tmp_path)), open_listener("127.0.0.1", 0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(serve_in_thread(app, listener))
        device = stack.enter_context(
            loop_device(make_image(tmp_path / "disk.img", "ext4", "zos-cache"))
        )
        announce(tmp_path / "sys", device)
        zinit = stack.enter_context(ZinitDaemon(tmp_path))
        for module in (mounts, start):
            monkeypatch.setattr(module, "SERVICES", zinit.etc)
        zinit.start()
        made = Node(zinit, tmp_path, app, f"http://127.0.0.1:{listener.getsockname()[1]}")
        stack.callback(made.clean_up)
        yield made


def test_each_part_is_apart(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.boot()
    node.wait_for(CORE, WORKLOAD)
    roots = {role: str(part.flist.root) for role, part in node.parts.items() if part.flist}
    assert node.root_of("web") == roots[WORKLOAD]
    assert node.root_of("core-api") == roots[CORE]
    said = capsys.readouterr().out
    assert "cannot start core-evil: names that begin with core- are Core-0's alone" in said
    assert "cannot start redis: names that begin with core- are all that Core-0" in said
    (Path(roots[WORKLOAD]) / "etc/mine").write_text("written")
    with pytest.raises(OSError, match="Read-only"):
        (Path(roots[CORE]) / "etc/mine").write_text("written")
    assert (Path(roots[CORE]) / "run/api").stat().st_uid == 705
    assert (Path(roots[CORE]) / "run/cache/zero-os/blocks").is_dir()
    assert list((Path(roots[WORKLOAD]) / "run").iterdir()) == []
    assert node.problems.rows() == []


def test_a_lost_mount_costs_its_part_only(node: Node) -> None:
    node.boot()
    node.wait_for(CORE, WORKLOAD)
    web, core = node.zinit.service_pid("web"), node.zinit.service_pid("core-api")
    flist = node.parts[CORE].flist
    assert flist
    os.kill(node.zinit.service_pid(flist.service), signal.SIGKILL)
    wait_until(lambda: node.zinit.service_pid("core-api") not in (0, core), "it is back", UP_S)
    assert node.zinit.service_pid("web") == web


def test_a_part_whose_mount_fails_keeps_no_other_down(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its flist lacks what a root of Core-0 must have."""
    monkeypatch.setitem(mounts.ROOTS, CORE, fail_to_mount)
    node.boot()
    node.wait_for(WORKLOAD)
    wait_until(lambda: node.problems.rows() != [], "it is told", UP_S)
    assert "no folder /run" in str(node.problems.rows())
    monkeypatch.setitem(mounts.ROOTS, CORE, mounts.make_core_root)
    node.wait_for(CORE)
    assert node.problems.rows() == []


def fail_to_mount(*_: object) -> None:
    """Do what `make_core_root` does for a flist without folders."""
    raise NodeError("cannot use the flist: it has no folder /run")


def test_the_second_boot_runs_from_the_disk(node: Node) -> None:
    node.boot()
    node.wait_for(CORE, WORKLOAD)
    blocks = node.sent("/blocks")
    first = node.sent("/")
    assert blocks > 0
    assert first > blocks
    kept = node.top / "zero-os/cache/zero-os/flists"
    wait_until(lambda: len(list(kept.glob("[0-9a-f]*.fl"))) == 2, "they are kept", UP_S)
    node.boot()
    node.wait_for(CORE, WORKLOAD)
    assert node.sent("/blocks") == blocks
    assert node.sent("/") - first < 2048  # two signatures


@pytest.mark.parametrize("harm", ["flip", "forge"])
def test_damaged_blocks_are_fetched_again(node: Node, harm: str) -> None:
    node.boot()
    node.wait_for(CORE, WORKLOAD)
    before = node.sent("/blocks")
    node.clean_up()
    with mounted_disk(node) as blocks:
        for path in blocks.glob("*/*"):
            HARMS[harm](path)
    node.boot()
    node.wait_for(CORE, WORKLOAD)
    assert node.sent("/blocks") > before


@contextlib.contextmanager
def mounted_disk(node: Node) -> Iterator[Path]:
    """Mount the disk for a change; yield the folder of blocks."""
    search = Search(node.problems, node.top / "zero-os/cache", node.top / "sys")
    search.start()
    cache = search.result()
    assert cache
    yield cache.blocks
    unmount(node.top / "zero-os/cache")


def flip(path: Path) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def forge(path: Path) -> None:
    """Put a link to the node's files in a block's place."""
    path.unlink()
    path.symlink_to("/etc/passwd")


HARMS: dict[str, Callable[[Path], None]] = {"flip": flip, "forge": forge}


def test_nothing_stays_mounted(node: Node) -> None:
    node.boot()
    node.wait_for(CORE, WORKLOAD)
    node.clean_up()
    assert not [entry for entry in read_mounts() if entry.target.startswith(str(node.top))]
    assert list(node.home.iterdir()) == []


@pytest.mark.matrix  # what it shows of updates, test_updates.py shows without mounts
def test_an_update_on_real_mounts(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What uses nothing that changed stays on the old mount, until it ends."""
    monkeypatch.setattr(updater, "save", lambda _: None)
    monkeypatch.setattr(updater, "KEEP_S", 0.2)
    node.boot()
    node.wait_for(CORE, WORKLOAD)
    old = flists_of(node)
    pid = node.zinit.service_pid("web")
    (old[WORKLOAD].root / "run/socket").touch()

    change_hub(node.top)
    site = updater.Site(
        parts=list(node.parts.values()),
        make_part=lambda wanted: pytest.fail(f"no part is new: {wanted}"),
        mount_beside=partial(mount_beside, node.zinit.client, node.parts[CORE].preparer),
        look=Source(node.parts[CORE].preparer, "1.0", has_channel=False).look,
        name_running=lambda: "old",
        is_hub_there=partial(is_any_there, node.parameters.hubs, ""),
        services=Services(node.zinit.client, node.zinit.etc),
        problems=node.problems,
        reboots=Reboots("1.0", lambda: None, Kexec(node.parameters, None)),
        watch_s=1.0,
    )
    update = updater.Updater(site, Saved(Record("old"), ()))
    with running(update):
        held = update.look(Peer(1, 0, 0))["held"]
        assert isinstance(held, dict)
        update.apply(Peer(1, 0, 0), held["release"])
        wait_until(lambda: update.record.generation == 2, f"it is done; {update.record}", UP_S)
        update.actions.join()  # the new set is handed over, too
        now = flists_of(node)
        assert node.zinit.service_pid("web") == pid
        assert node.root_of("web") == str(old[WORKLOAD].root)
        assert node.root_of("core-api") == str(now[CORE].root)
        assert (now[WORKLOAD].root / "run/socket").exists()
        assert (now[WORKLOAD].root / "usr/share/new").read_text() == "new"
        wait_until(lambda: not old[CORE].top.exists(), "the old core is unmounted", UP_S)

        node.zinit.client.kill("web", "SIGKILL")
        wait_until(lambda: not old[WORKLOAD].top.exists(), "the old workload is unmounted", UP_S)
        wait_until(lambda: node.root_of("web") == str(now[WORKLOAD].root), "web runs", UP_S)


@contextlib.contextmanager
def running(update: updater.Updater) -> Iterator[None]:
    """Carry updates out for a `with` block."""
    update.start()
    try:
        yield
    finally:
        update.is_over = True
        wait_until(lambda: "update" not in {one.name for one in threading.enumerate()}, "it ends")


def flists_of(node: Node) -> dict[str, Flist]:
    """Return what is mounted for each role."""
    return {role: part.flist for role, part in node.parts.items() if part.flist}


def change_hub(top: Path) -> None:
    """Add a file to both flists of the hub."""
    key = load_private_key(top / "key")
    for role, name in NAMES.items():
        tree = top / f"tree-{role}"
        (tree / "usr/share").mkdir(parents=True, exist_ok=True)
        (tree / "usr/share/new").write_text("new")
        flist = top / "hub/flists" / f"{name}.fl"
        pack(tree, flist, [parse_route(f"dir://{top / 'hub/blocks'}")])
        flist.with_suffix(".fl.sig").write_text(sign_flist(flist, name, key))
