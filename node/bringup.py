"""The bring-up service: fetches, verifies and mounts the run mode's flists, starts their services.

Every step that fails is retried, with growing pauses, for as long as the node runs. An unsigned or
altered flist is never mounted. It alone may change the node; others ask it through its door.
"""

import threading
import time
from functools import partial
from pathlib import Path

from common.bootcodes import describe
from common.errors import ZosError
from common.notify import notify_ready
from common.releases.channel import Channel
from common.releases.manifest import Manifest
from node.admission import admit_release, read_about
from node.cmdline import parse_parameters
from node.door.door import Door
from node.flists.choose import choose
from node.flists.giving import Search
from node.flists.model import WORKLOAD, Wanted
from node.flists.mounts import unmount_everything
from node.flists.part import Part
from node.flists.prepare import Preparer
from node.flists.start import stop_services
from node.generations.health import is_any_there
from node.generations.held import Held, Source, from_channel
from node.generations.kexec import Kexec
from node.generations.leftovers import mount_beside
from node.generations.machine import Record
from node.generations.reboots import Reboots
from node.generations.saved import Saved, load
from node.generations.switch import Services
from node.generations.updater import Site, Updater
from node.lockdown import close_early, close_modules
from node.log import log as write_log
from node.model import BootParameters, NodeError
from node.problems import Problems
from node.report import Reporter, read_machine
from node.status import Status
from node.supervision import SERVICES
from node.trying import Trying
from zinit.client.line import Client

CLOSE_AFTER_S = 300.0
LOOK_S = 5.0
RENEW_S = 600.0

log = partial(write_log, "bringup")


def main() -> int:
    """Bring the node up, and again whenever a root file system is lost; never returns."""
    problems, ignored = Problems(), list[str]()
    parameters = read_parameters(ignored)
    log(f"farm {parameters.farm}, run mode {parameters.runmode}, hub {', '.join(parameters.hubs)}")
    reporter = Reporter(parameters, read_machine(), read_about().get("VERSION_ID", ""))
    trying = Trying(reporter, problems)
    client = Client()
    status = Status(parameters, problems, ignored)
    trying.until_done(close_early)  # nothing is fetched before
    trying.until_done(lambda: clean_up(client))
    status.disk = search = Search(problems)
    search.start()
    reporter.reached("linux")
    status.reach("network")
    reporter.reached("network")
    door = Door(client, status)
    with door:
        found = trying.until_done(lambda: admit_release(parameters, cache=search.result()))
        status.reach("channel")
        reporter.reached("channel")
        node = Node(client, parameters, reporter, status, search)
        updater = start_updates(node, found)
        door.add_updates(updater, updater.site.reboots)
        node.run()
    return 0


def read_parameters(ignored: list[str]) -> BootParameters:
    """Return what the kernel's command line says; tell what is wrong with it.

    What the node does without is added to `ignored`.
    """

    def tell(text: str) -> None:
        ignored.append(text)
        log(text)

    try:
        return parse_parameters(Path("/proc/cmdline").read_text(errors="replace"), tell)
    except NodeError:
        write_log("Zero-OS", describe("ZB45"))
        raise


def clean_up(client: Client) -> None:
    """Stop and unmount all that an earlier process of this service has left."""
    stop_services(client)
    unmount_everything(client)


class Node:
    """The parts of the node: a thread brings up each, this one does what concerns all of them."""

    def __init__(
        self,
        client: Client,
        parameters: BootParameters,
        reporter: Reporter,
        status: Status,
        disk: Search,
    ) -> None:
        self.client = client
        self.parameters = parameters
        self.reporter = reporter
        self.status = status
        self.disk = disk
        self.preparer = Preparer(parameters, disk.result)
        status.hubs = self.preparer.answers_s
        self.close_at = float("inf")
        self.renew_at = time.monotonic() + RENEW_S
        self.is_changed = threading.Event()

    def start(self, wanted: tuple[Wanted, ...]) -> None:
        """Begin to bring up a set of flists."""
        self.status.parts += [self.make_part(one) for one in wanted]
        for part in self.status.parts:
            part.start()

    def make_part(self, wanted: Wanted) -> Part:
        """Return what brings a flist up."""
        trying = self.trying(wanted.role)
        return Part(self.client, wanted, self.preparer, trying, self.told)

    def trying(self, role: str) -> Trying:
        """Return how failures of a role are told: the node boots if its workload does."""
        part = "" if role == WORKLOAD else role
        return Trying(self.reporter, self.status.problems, part)

    def told(self, part: Part, stage: str) -> None:
        """Say how far a part has got."""
        if stage == "mounted":
            self.close_at = min(self.close_at, time.monotonic() + CLOSE_AFTER_S)
        if part.wanted.role == WORKLOAD:
            names = ", ".join(sorted(part.names)) or "none"
            if stage == "ready":
                log(f"node ready: farm {self.parameters.farm}, services {names}")
                notify_ready()
            self.status.reach({"mounted": "flist"}.get(stage, stage))
            self.reporter.reached(self.status.stage)
        elif stage == "ready" and part.names:
            log(f"{part.wanted.role} ready: services {', '.join(sorted(part.names))}")
        self.is_changed.set()

    def run(self) -> None:
        """Do what concerns all parts, until the process ends."""
        while True:
            self.is_changed.wait(LOOK_S)
            self.is_changed.clear()
            self.look()
            self.renew()

    def renew(self) -> None:
        """Ask the channel again while a flist can't be had: it may name another one by now."""
        missing = [part for part in self.status.parts if not part.flist and not part.is_settled]
        if not missing or time.monotonic() < self.renew_at:
            return
        self.renew_at = time.monotonic() + RENEW_S
        try:
            found = admit_release(self.parameters, cache=self.disk.result())
        except (ZosError, OSError) as error:
            log(f"{error}")
            return
        manifest = found[1] if found else None
        wanted = {one.role: one for one in choose(self.parameters, manifest)}
        for part in missing:
            part.wanted = wanted.get(part.wanted.role, part.wanted)

    def look(self) -> None:
        """Close the kernel to modules when all is up, or after a time even if something is not; say
        what is wrong with the disk of the cache."""
        is_settled = all(part.is_settled for part in self.status.parts)
        if is_settled or time.monotonic() > self.close_at:
            try_to_close()
        cache = self.disk.cache
        if cache is None:
            return
        if not (fault := cache.fault()):
            self.status.problems.clear("cache")
        elif self.status.problems.note("cache", f"the disk of the cache: {fault}"):
            log(f"the disk of the cache: {fault}; the node goes on without it")


def start_updates(node: Node, found: tuple[Channel, Manifest | None] | None) -> Updater:
    """Bring up the generation that ran last, or else what the channel or the hub has; return what
    changes it from then on."""
    parameters, status = node.parameters, node.status
    boot = status.about.get("VERSION_ID", "")
    held = from_channel(parameters, *found) if found else Held("")
    saved = load() or Saved(Record(held.release, sequence=held.sequence), held.flists)
    flists = saved.running or choose(parameters, None)
    source = Source(node.preparer, boot, found is not None)
    kexec = Kexec(parameters, source.read_channel if found else None)
    updater = Updater(
        Site(
            parts=status.parts,
            make_part=node.make_part,
            mount_beside=partial(mount_beside, node.client, node.preparer),
            look=source.look,
            name_running=source.name_running,
            is_hub_there=partial(is_any_there, parameters.hubs, parameters.proxy),
            services=Services(node.client, SERVICES),
            problems=status.problems,
            reboots=Reboots(boot, node.disk.result, kexec),
        ),
        saved,
    )
    status.generations = updater.rows
    node.start(flists)
    updater.start()
    return updater


def try_to_close() -> None:
    """Close the kernel to modules, if the release says so."""
    try:
        close_modules()
    except NodeError as error:
        log(f"{error}")
