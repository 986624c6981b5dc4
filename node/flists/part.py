"""One flist of the set: brought up by a thread of its own, and again whenever its mount is lost.

So whatever is wrong with one of them keeps no other from running.
"""

import threading
import time
import traceback
from collections.abc import Callable
from functools import partial

from common.errors import ZosError
from node.flists.fetch import MissingError
from node.flists.model import FIRMWARE, WORKLOAD, Flist, Wanted
from node.flists.mounts import Sources, forget_flist, mount_flist
from node.flists.prepare import Preparer
from node.flists.start import start_services, stop_services
from node.log import log as write_log
from node.nameservers import NameServers, name_servers_of
from node.supervision import wait_for_end, wait_for_services
from node.trying import Trying
from zinit.client.line import Client

REPORT_INTERVAL_S = 30.0
RETRY_S = 1.0
FAULT_PAUSE_S = 30.0

log = partial(write_log, "bringup")


class Part:
    """Brings up what is wanted; `told` is called with it whenever it has got further.

    `flist` is what is mounted, `names` are its services. `is_settled`: there is nothing more to
    wait for, as all of them run, or as no hub has this flist and the node can do without it.

    While an update is under way both the old and the new part of a role rest: nothing is brought up
    again by them. Then one of them goes on, and the other retires.
    """

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        preparer: Preparer,
        trying: Trying,
        told: Callable[["Part", str], None],
    ) -> None:
        self.client = client
        self.wanted = wanted
        self.preparer = preparer
        self.trying = trying
        self.told = told
        self.flist: Flist | None = None
        self.names: list[str] = []
        self.servers: list[NameServers] = []
        self.is_settled = False
        self.is_retired = False
        self.may_act = threading.Event()
        self.may_act.set()

    def start(self) -> None:
        """Begin, in a thread. One that is mounted already is watched."""
        threading.Thread(target=self.run, name=self.wanted.role, daemon=True).start()

    def run(self) -> None:
        """Keep the part up; returns only if no hub has it, or if it has retired."""
        if self.is_settled:
            self.watch()
        while self.may_act.wait() and not self.is_retired:
            try:
                if not self.trying.until_done(self.bring_up):
                    self.is_settled = True
                    return
                self.settle()
                self.watch()
            except Exception as error:  # a fault of ours must not end the thread
                traceback.print_exc()
                self.trying.tell(error)
                time.sleep(FAULT_PAUSE_S)

    def rest(self) -> None:
        """Leave the services alone from now on, for an update."""
        self.may_act.clear()

    def go_on(self) -> None:
        """Keep the services up again."""
        self.may_act.set()

    def retire(self) -> None:
        """Do nothing any more, as another part has taken over."""
        self.is_retired = True
        self.may_act.set()

    def bring_up(self) -> bool:
        """Fetch, verify and mount the flist and start its services; False if there is none."""
        self.is_settled = False
        self.clean_up()
        try:
            self.prepare()
        except MissingError:
            if not self.wanted.is_optional:
                raise
            log(
                f"the hub has no flist {self.wanted.name}: the node runs without {self.wanted.role}"
            )
            return False
        assert self.flist is not None
        self.names = start_services(self.client, self.flist)
        self.told(self, "mounted")
        return True

    def prepare(self) -> None:
        """Fetch, verify and mount the flist; its services do not run yet."""
        self.mount(*self.preparer.fetch(self.wanted))

    def prepare_beside(self, old: Flist | None, find: Callable[[str], Flist | None]) -> bool:
        """Do the same beside the flist `old` that runs; return False if it is the same one.

        `find` returns one that is still mounted, by its digest.
        """
        flist, sources = self.preparer.fetch(self.wanted)
        if old and old.sha256 == flist.sha256:
            return False
        if mounted := find(flist.sha256):
            self.flist, self.servers = mounted, name_servers_of(mounted)
        else:
            self.mount(flist, sources, old)
        return True

    def mount(self, flist: Flist, sources: Sources, beside: Flist | None = None) -> None:
        """Mount a flist, and give its root the name servers."""
        self.flist = flist
        mount_flist(self.client, flist, sources, beside)
        self.servers = name_servers_of(flist)
        for servers in self.servers:
            servers.copy()
        what = "flist" if flist.role == WORKLOAD else f"{flist.role} flist"
        log(f"{what} mounted on {flist.root if flist.role != FIRMWARE else flist.lower}")

    def clean_up(self) -> None:
        """Stop the services and unmount what an earlier attempt has mounted."""
        self.names = []
        if self.flist:
            stop_services(self.client, self.flist.top)
            forget_flist(self.client, self.flist)
            self.flist = None

    def settle(self) -> None:
        """Wait until every service runs or has succeeded; log the missing ones.

        There is no deadline: zinit restarts services that fail. One that somebody has removed since
        is not waited for.
        """
        while True:
            try:
                known = self.client.list()
                left = [name for name in self.names if name in known]
                wait_for_services(self.client, left, REPORT_INTERVAL_S)
            except ZosError as error:
                self.trying.tell(error)
                log(f"{error}")
                time.sleep(RETRY_S)
            else:
                self.trying.problems.clear(self.trying.part)
                self.is_settled = True
                return self.told(self, "ready")

    def watch(self) -> None:
        """Sleep until the mount ends."""
        assert self.flist is not None
        wait_for_end(self.client, self.flist.service, self.follow)
        if self.is_retired:
            return
        what = "node" if self.flist.role == WORKLOAD else self.flist.role
        log(f"the mount of the flist has ended: bringing the {what} up again")

    def follow(self) -> None:
        """Hand over the name servers if they have changed."""
        for servers in self.servers:
            servers.follow()
