"""A node's generations on a real zinit: flists are real, but their roots are copies, not mounts."""

import hashlib
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.ipc.server import Peer
from flist.pack.pack import pack
from flist.store.routed import parse_route
from node.door.callers import API, UPDATE
from node.flists import start
from node.flists.model import FIRMWARE, Flist, Wanted
from node.flists.mounts import ROOTS
from node.flists.part import Part
from node.flists.prepare import Preparer
from node.generations import leftovers, saved, updater
from node.generations.held import Held
from node.generations.kexec import Kexec
from node.generations.leftovers import Leftovers
from node.generations.machine import Record, State
from node.generations.reboots import Reboots
from node.generations.saved import Saved
from node.generations.switch import Services
from node.generations.updater import Site, Updater
from node.model import BootParameters, NodeError
from node.problems import Problems
from node.report import MachineNames, Reporter
from node.trying import Trying
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon

DAEMON, OPERATOR = Peer(1, UPDATE, UPDATE), Peer(1, API, API)
# path -> text; "@" is a program that sleeps for its argument, "@/bin/NAME" one of this machine
Tree = Mapping[str, str]


class Lab:
    """A node with the flists of one release; others can be made and applied."""

    def __init__(self, folder: Path, zinit: ZinitDaemon, patch: Any) -> None:
        self.folder, self.zinit = folder, zinit
        self.flists: dict[str, tuple[Path, Path]] = {}  # digest -> file, tree
        self.made: dict[Any, Wanted] = {}
        self.problems = Problems()
        self.held = Held("")
        self.is_hub_there = True
        self.cache: Any = None
        self.home = folder / "run" / "flists"
        self.home.mkdir(parents=True)
        parameters = BootParameters("dev", 1, ("http://hub",))
        self.preparer = Preparer(parameters, home=self.home)
        self.reporter = Reporter(parameters, MachineNames("", "", ""), "1")
        patch.setattr(start, "SERVICES", zinit.etc)
        patch.setattr(saved, "SAVED", folder / "run" / "generations.json")
        patch.setattr(updater, "save", lambda one: saved.save(one, folder / "run/generations.json"))
        patch.setattr(updater, "LOOK_S", 0.1)
        patch.setattr(updater, "KEEP_S", 0.2)
        patch.setattr(leftovers, "forget_flist", self.forget)
        patch.setattr(Part, "start", lambda _: None)  # nothing here can be brought up again
        self.updater: Updater

    def close(self) -> None:
        """End the thread of the updates."""
        self.updater.is_over = True
        wait_until(lambda: "update" not in {one.name for one in threading.enumerate()}, "it ends")

    def release(self, name: str, sequence: int = 1, **trees: Tree) -> Held:
        """Make a release with a flist of each role; `waves` are its waves."""
        wanted = [self.make_flist(role, name, tree) for role, tree in trees.items()]
        return Held(name, sequence, flists=tuple(wanted))

    def make_flist(self, role: str, release: str, tree: Tree) -> Wanted:
        """Pack a tree; the same one is the same flist."""
        key = (role, *sorted(tree.items()))
        if key not in self.made:
            self.made[key] = self.pack_flist(role, release, tree)
        return self.made[key]

    def pack_flist(self, role: str, release: str, tree: Tree) -> Wanted:
        """Pack a tree."""
        root = Path(tempfile.mkdtemp(dir=self.folder))
        for path, text in tree.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("@"):
                shutil.copy2(text[1:] if text.startswith("@/") else "/bin/sleep", place)
                with open(place, "ab") as stream:
                    stream.write(text.encode())
            else:
                place.write_text(text)
        if any(text.startswith("@") for text in tree.values()):
            copy_libraries(root)
        (root / "etc/zinit").mkdir(parents=True, exist_ok=True)
        blocks = self.folder / "blocks"
        blocks.mkdir(exist_ok=True)
        file = root.with_suffix(".fl")
        pack(root, file, [parse_route(f"dir://{blocks}")])
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        self.flists[digest] = (file, root)
        return Wanted(role, f"tf-zos/dev-{role}", digest, file.stat().st_size, release)

    def mount(self, wanted: Wanted, old: Flist | None = None, others: Any = None) -> Flist | None:
        """Stand in for fetching and mounting a flist."""
        if wanted.sha256 not in self.flists:
            raise NodeError(f"flist {wanted.name} refused: its signature is wrong")
        if isinstance(others, Leftovers) and (found := others.find(wanted.sha256)):
            return found
        flist = Flist(
            wanted.role, wanted.name, wanted.sha256, wanted.version, self.home, wanted.size
        )
        file, tree = self.flists[wanted.sha256]
        shutil.copytree(tree, flist.root, symlinks=True)
        flist.lower.symlink_to(flist.root)
        shutil.copy(file, flist.meta)
        self.zinit.write(flist.service, "exec: sleep 1000")
        self.zinit.client.monitor(flist.service)
        if wanted.role == FIRMWARE:
            ROOTS[FIRMWARE](flist)
        return flist

    def forget(self, _client: Any, flist: Flist) -> None:
        """Stand in for unmounting a flist."""
        self.zinit.client.stop(flist.service)
        wait_until(lambda: self.zinit.service_pid(flist.service) == 0, "it is down")
        self.zinit.client.forget(flist.service)
        (self.zinit.etc / f"{flist.service}.yaml").unlink()
        shutil.rmtree(flist.top)

    def mounted(self) -> list[str]:
        """Return the digests of what is mounted."""
        return sorted(one for one in self.flists if (self.home / one[:16] / "meta.fl").exists())

    def make_part(self, wanted: Wanted) -> Part:
        """Return a part; its thread never has anything to bring up."""
        trying = Trying(self.reporter, self.problems, wanted.role)
        return Part(self.zinit.client, wanted, self.preparer, trying, lambda *_: None)

    def boot(self, held: Held, is_well: bool = True) -> None:
        """Run a release as a node does that has come up."""
        parts = []
        for wanted in held.flists:
            part = self.make_part(wanted)
            flist = self.mount(wanted)
            assert flist is not None
            part.flist, part.names = flist, start.start_services(self.zinit.client, flist)
            parts.append(part)
        services = Services(self.zinit.client, self.zinit.etc, 5.0, 5.0)
        for part in parts:
            if is_well:
                services.wait_until_up(part.names)
            part.start()
        parameters = self.preparer.parameters
        site = Site(
            parts=parts,
            make_part=self.make_part,
            mount_beside=self.mount,
            look=lambda: self.held,
            name_running=lambda: held.release,
            is_hub_there=lambda: self.is_hub_there,
            services=services,
            problems=self.problems,
            reboots=Reboots("1", lambda: self.cache, Kexec(parameters, None)),
            watch_s=1.0,
        )
        self.updater = Updater(site, Saved(Record(held.release, sequence=1), held.flists))
        self.updater.start()

    def apply(self, held: Held, peer: Peer = DAEMON) -> Record:
        """Let the channel hold a release, apply it, and return how it ended."""
        self.begin(held, peer)
        return self.end()

    def begin(self, held: Held, peer: Peer = DAEMON) -> None:
        """Let the channel hold a release, and begin to apply it."""
        self.held = held
        self.updater.look(peer)
        self.updater.apply(peer, held.release)

    def end(self) -> Record:
        """Return the record once the node is idle and has cleared up."""
        wait_until(
            lambda: self.record.state == State.IDLE and self.updater.actions.unfinished_tasks == 0,
            f"the update ends; {self.record}",
        )
        return self.record

    @property
    def record(self) -> Record:
        return self.updater.record

    def pid(self, name: str) -> int:
        return self.zinit.service_pid(name)

    def root_of(self, name: str) -> str:
        """Return the digest's beginning of the flist from which a service runs."""
        return Path(f"/proc/{self.pid(name)}/root").readlink().parent.name


def copy_libraries(root: Path) -> None:
    """Copy what a program of this machine needs into a tree."""
    said = subprocess.run(["ldd", "/bin/sleep"], capture_output=True, text=True, check=True).stdout
    for word in said.split():
        if word.startswith("/"):
            place = root / word.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, place)
