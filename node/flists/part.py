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
        self.lock = threading.RLock()  # whoever changes what is mounted holds it

    def start(self) -> None:
        """Begin, in a thread; after `adopt`, to watch what was adopted."""
        threading.Thread(target=self.run, name=self.wanted.role, daemon=True).start()

    def run(self) -> None:
        """Keep the part up; returns only if no hub has it, or if it has retired."""
        if self.flist is not None:
            self.watch()
        while not self.is_retired:
            try:
                if not self.trying.until_done(self.bring_up):
                    self.is_settled = True
                    return
                if self.settle():
                    self.watch()
            except Exception as error:  # a fault of ours must not end the thread
                traceback.print_exc()
                self.trying.tell(error)
                time.sleep(FAULT_PAUSE_S)

    def bring_up(self) -> bool:
        """Fetch, verify and mount the flist and start its services; False if there is none, or no
        need for one any more."""
        if self.is_retired:
            return False
        self.is_settled = False
        with self.lock:
            self.clean_up()
        try:
            flist, sources = self.preparer.fetch(self.wanted)
        except MissingError:
            role, name = self.wanted.role, self.wanted.name
            if not self.wanted.is_optional:
                raise
            log(f"the hub has no flist {name}: the node runs without {role}")
            return False
        with self.lock:
            if self.flist is None:  # else another one was adopted meanwhile
                self.flist = flist
                try:
                    self.mount(flist, sources)
                except BaseException:
                    self.clean_up()
                    raise
        self.told(self, "mounted")
        return True

    def mount(self, flist: Flist, sources: Sources) -> None:
        """Mount the flist and start its services."""
        mount_flist(self.client, flist, sources)
        self.servers = name_servers_of(flist)
        for servers in self.servers:
            servers.copy()
        what = "flist" if flist.role == WORKLOAD else f"{flist.role} flist"
        log(f"{what} mounted on {flist.root if flist.role != FIRMWARE else flist.lower}")
        self.names = start_services(self.client, flist)

    def retire(self) -> Flist | None:
        """Do nothing any more: the set has no such role now. What was mounted is the caller's."""
        self.is_retired = True
        before, self.flist, self.names = self.flist, None, []
        return before

    def clean_up(self) -> None:
        """Stop the services and unmount what an earlier attempt has mounted."""
        self.names = []
        if self.flist:
            stop_services(self.client, self.flist.top)
            forget_flist(self.client, self.flist)
            self.flist = None

    def settle(self) -> bool:
        """Wait until every service runs or has succeeded; log the missing ones. Return False if the
        mount has ended meanwhile.

        There is no deadline: zinit restarts services that fail. One that somebody has removed since
        is not waited for.
        """
        mounted: Flist | None = None
        process = 0
        while not self.is_retired:
            try:
                flist = self.flist
                pid = self.mount_pid(flist)
                if flist is not mounted:  # or another one was adopted
                    mounted, process = flist, pid
                if pid != process and self.is_current(flist):
                    log("the mount of the flist has ended before its services were up")
                    return False
                known = self.client.list()
                left = [name for name in self.names if name in known]
                wait_for_services(self.client, left, REPORT_INTERVAL_S)
            except ZosError as error:
                self.trying.problems.note(self.trying.part, str(error))
                log(f"{error}")
                time.sleep(RETRY_S)
            else:
                self.trying.problems.clear(self.trying.part)
                self.is_settled = True
                self.told(self, "ready")
                break
        return True

    def is_current(self, flist: Flist | None) -> bool:
        """Return whether a flist is still that of the part, once nobody changes it."""
        with self.lock:
            return flist is self.flist

    def mount_pid(self, flist: Flist | None) -> int:
        """Return the process of a mount, 0 if there is none."""
        return int(str(self.client.status(flist.service)["pid"])) if flist else 0

    def watch(self) -> None:
        """Sleep until the mount ends; after `adopt`, that of the flist that was adopted."""
        while flist := self.flist:
            if not wait_for_end(self.client, flist.service, partial(self.follow, flist)):
                continue
            with self.lock:
                if flist is self.flist:
                    what = "node" if flist.role == WORKLOAD else flist.role
                    log(f"the mount of the flist has ended: bringing the {what} up again")
                    return

    def follow(self, flist: Flist) -> bool:
        """Hand over the name servers if they have changed; False if another flist was adopted."""
        for servers in self.servers:
            servers.follow()
        return flist is self.flist

    def adopt(self, flist: Flist, names: list[str]) -> Flist | None:
        """Go on with another flist, which is mounted, and its services; return the one before.

        That one and its services are the caller's from now on. Hold `lock` meanwhile, so that the
        part does not bring itself up.
        """
        before, self.flist, self.names = self.flist, flist, names
        self.wanted = Wanted(flist.role, flist.name, flist.sha256, flist.size, flist.version)
        self.servers = name_servers_of(flist)
        for servers in self.servers:
            servers.copy()
        return before
