"""Moves services from one set of flists to another, one after another, and back.

Both sets are mounted. A service follows its files in zinit's folder: its service file, and the
override that names its root. What they were before the first change is remembered, so going back
needs no flist to be read.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from common.errors import ZosError
from common.files import write_atomic
from node.flists.model import CORE, FIRMWARE, Flist
from node.flists.services import (
    OVERRIDE_SUFFIX,
    SUFFIX,
    find_installed,
    override_text,
    read_regular,
    read_services,
    remove_service,
    sort_out,
)
from node.flists.start import make_folders, own_services, read_accounts
from node.generations.effects import (
    changed_paths,
    edges_of,
    is_lasting,
    reasons_to_move,
    used_paths,
)
from node.log import log as write_log
from node.model import NodeError
from node.supervision import POLL_S, SETTLED, describe_late, find_late
from zinit.client.line import Client

READY_WITHIN_S = 60.0
# The identity daemon may ask a slow TPM for four minutes; to stop may take its service's time.
SLOW_WITHIN_S = 300.0
LAST = "core-update"  # it has asked for the change

log = partial(write_log, "bringup")


@dataclass(frozen=True)
class Files:
    """A service's file and its override."""

    service: bytes
    override: bytes


@dataclass(frozen=True)
class Move:
    """A change of one service; without `files` it is removed."""

    name: str
    files: Files | None
    why: str


class Services:
    """The services of flists in zinit, which reads their files from `folder`."""

    def __init__(
        self,
        client: Client,
        folder: Path,
        ready_within_s: float = READY_WITHIN_S,
        slow_within_s: float = SLOW_WITHIN_S,
    ) -> None:
        self.client = client
        self.folder = folder
        self.ready_within_s = ready_within_s
        self.slow_within_s = slow_within_s

    def read(self, name: str) -> Files | None:
        """Return the files of a service, None if it has none."""
        with contextlib.suppress(FileNotFoundError):
            place = self.folder / f"{name}{SUFFIX}"
            override = self.folder / f"{name}{OVERRIDE_SUFFIX}"
            return Files(read_regular(place), read_regular(override))
        return None

    def of(self, flist: Flist) -> dict[str, bytes]:
        """Return the service files of those that run from a flist."""
        names = find_installed(self.folder, flist.top)
        found = {name: self.read(name) for name in names}
        return {name: files.service for name, files in found.items() if files}

    def unsettled(self) -> frozenset[str]:
        """Return the services that do not run and have not succeeded, or that zinit refuses."""
        states = self.client.list()
        names = {*states, *(file.stem for file in self.folder.glob(f"*{SUFFIX}"))}
        return frozenset(name for name in names if states.get(name) not in SETTLED)

    def pid(self, name: str) -> int:
        """Return the main process of a service, 0 if there is none."""
        return int(str(self.client.status(name)["pid"])) if name in self.client.list() else 0

    def put(self, name: str, files: Files | None) -> None:
        """Let a service have these files, or remove it; return when zinit follows them.

        Raises `ZosError` for a file that zinit refuses.
        """
        if files is None:
            remove_service(self.folder, name)
        else:
            # The override comes first: zinit never sees a file without it.
            write_atomic(self.folder / f"{name}{OVERRIDE_SUFFIX}", files.override)
            write_atomic(self.folder / f"{name}{SUFFIX}", files.service)
        before = self.pid(name)
        failed = self.client.reload()["failed"]
        if isinstance(failed, dict) and name in failed:
            raise NodeError(f"cannot start {ascii(name)[1:-1]}: {failed[name]}")
        if files is None:
            self.wait_for_end(name, lambda: name not in self.client.list())
            return
        if before:
            self.wait_for_end(name, lambda: self.pid(name) != before)
        elif self.client.status(name)["pid"] == 0:
            self.client.start(name)  # a oneshot that has succeeded runs again

    def wait_for_end(self, name: str, has_ended: Callable[[], bool]) -> None:
        """Wait until zinit has stopped a process; it kills what does not stop."""
        deadline = time.monotonic() + self.slow_within_s
        while not has_ended():
            if time.monotonic() > deadline:
                raise NodeError(f"cannot stop {name}: it runs after {self.slow_within_s:g} s")
            time.sleep(POLL_S)

    def wait_until_up(self, names: Iterable[str]) -> None:
        """Wait until services run, or have succeeded if they end some day. Raises `NodeError`.

        One whose first process goes on is slow, and has more time than one that fails.
        """
        began, first = time.monotonic(), dict[str, int]()
        known = self.client.list()
        files = {name: self.read(name) for name in names if name in known}
        lasting = {name for name, found in files.items() if found and is_lasting(found.service)}
        while late := find_late(self.client, files, lasting):
            pids = {name: self.pid(name) for name in late}
            is_slow = all(pid and pid == first.setdefault(name, pid) for name, pid in pids.items())
            limit = self.slow_within_s if is_slow else self.ready_within_s
            if time.monotonic() > began + limit:
                raise NodeError(f"not ready after {limit:g} s: {describe_late(late)}")
            time.sleep(POLL_S)


def plan_role(
    services: Services, mounted: Sequence[Flist], new: Flist | None, role: str
) -> tuple[list[Move], frozenset[str]]:
    """Return what changes for a role, and the names of all its services then.

    `mounted` are the flists of the role from which services run now.
    """
    if role == FIRMWARE:
        return [], frozenset()
    wanted = read_wanted(services, new, mounted) if new else {}
    running = {flist: services.of(flist) for flist in mounted}
    here = {name for files in running.values() for name in files}
    removed = [Move(name, None, "it is gone") for name in sorted(here - wanted.keys())]
    moves = [] if new is None else plan_moves(services, running, new, wanted, here)
    return removed + in_order(moves), frozenset(wanted)


def plan_moves(
    services: Services,
    running: Mapping[Flist, dict[str, bytes]],
    new: Flist,
    wanted: Mapping[str, bytes],
    here: set[str],
) -> list[Move]:
    """Return the services that are moved to a flist, or added."""
    override = override_text(new.root, new.service)
    why = dict.fromkeys(wanted.keys() - here, "it is new")
    is_more = bool(why)
    for flist, old in running.items():
        if flist.sha256 == new.sha256:
            why |= {n: "its file changed" for n in old if n in wanted and old[n] != wanted[n]}
        elif new.role == CORE:
            why |= dict.fromkeys(old.keys() & wanted.keys(), "its flist changed")
        else:
            changed = changed_paths(flist, new)
            uses = partial(uses_of, services, flist)
            why |= reasons_to_move(old, wanted, changed, uses, is_more=is_more)
    return [Move(name, Files(wanted[name], override), reason) for name, reason in why.items()]


def uses_of(services: Services, flist: Flist, name: str) -> Iterator[bytes]:
    """Yield the paths that a service's processes use."""
    return used_paths(services.pid(name), flist)


def read_wanted(services: Services, new: Flist, mounted: Sequence[Flist]) -> dict[str, bytes]:
    """Return the service files of a flist that may be installed."""
    read_accounts(new.root)
    if new.role == CORE:
        make_folders(new.root, new.home.parent)
    own = own_services(services.client, new.home, services.folder)
    source = new.lower if any(one.sha256 == new.sha256 for one in mounted) else new.root
    found, refused = sort_out(read_services(source), new.role == CORE, own)
    for name, reason in sorted(refused.items()):
        log(f"cannot start {ascii(name)[1:-1]}: {reason}")
    return found


def in_order(moves: Sequence[Move]) -> list[Move]:
    """Return moves so that a service follows those that it waits for; `core-update` is last."""
    by_name = {move.name: move for move in sorted(moves, key=lambda move: move.name)}
    graph = {
        name: [one for one in edges_of(move.files.service) if one in by_name] if move.files else []
        for name, move in by_name.items()
    }
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError:  # zinit reports it
        order = list(by_name)
    return [by_name[name] for name in sorted(order, key=lambda name: name == LAST)]


class Switch:
    """One change of services: `carry_out`, and `undo` whatever of it was carried out."""

    def __init__(self, services: Services, moves: Sequence[Move], down: frozenset[str]) -> None:
        self.services = services
        self.moves = moves
        self.down = down  # before the change, so nobody waits for them
        self.before = {move.name: services.read(move.name) for move in moves}
        self.done: list[str] = []

    def carry_out(self) -> None:
        """Move one service after the other; each must be up before the next. Raises `ZosError`."""
        for move in self.moves:
            log(f"update: {'removing' if move.files is None else 'moving'} {move.name}: {move.why}")
            self.done.append(move.name)
            try:
                self.services.put(move.name, move.files)
                if move.files and move.name not in self.down:
                    self.services.wait_until_up([move.name])
            except ZosError as error:
                if move.name not in self.down:
                    raise
                log(f"update: {error}; that was so before")

    def undo(self) -> None:
        """Move them back, the last one first, and wait until all are up. Raises `ZosError`.

        One that fails keeps no other from going back.
        """
        errors = []
        for name in reversed(self.done):
            try:
                self.services.put(name, self.before[name])
            except (ZosError, OSError) as error:
                errors.append(error)
        names = [name for name in self.done if self.before[name] and name not in self.down]
        self.services.wait_until_up(names)
        if errors:
            raise errors[0]
