"""The bring-up service: fetches and verifies the run mode's flist, mounts it, starts its services.

Every step that fails is retried, with growing pauses, for as long as the node runs. An unsigned or
altered flist is never mounted.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from common.bootcodes import describe
from common.errors import ZosError
from common.notify import notify_ready
from common.releases.layout import StoreError
from common.releases.manifest import UnfitError
from common.tuf.errors import MetadataError
from flist.format.signing.keys import load_public_keys
from node.admission import REFUSED, admit_release, read_about
from node.backoff import backoff_delays
from node.cmdline import parse_parameters
from node.hubs import fetch_from_any, rank_hubs
from node.lockdown import close_early, close_modules
from node.log import log as write_log
from node.model import BootParameters, NodeError
from node.report import Reporter, read_machine
from node.rootfs import (
    META,
    MOUNT_SERVICE,
    RESOLV_CONF,
    ROOT,
    copy_resolv_conf,
    memory_bytes,
    mount_flist,
    mount_root,
    unmount_all,
)
from node.services import (
    find_installed,
    install_services,
    is_long,
    override_text,
    read_services,
    remove_service,
)
from node.supervision import SERVICES, stop_service, wait_for_end, wait_for_services
from zinit.client.line import Client

T = TypeVar("T")

KEYS = Path("/etc/zero-os/keys/flist.pub")
FLIST_SHARE = 16  # the flist may use a sixteenth of RAM before its signature is checked
REPORT_INTERVAL_S = 30.0
CLOSE_AFTER_S = 300.0
RETRY_S = 1.0
OVERRIDE = override_text(ROOT, MOUNT_SERVICE)  # each starts after the mount and stops before it

# What `common` raises about the channel and its release.
CODES_OF_OTHERS = ((MetadataError, "ZB44"), (StoreError, REFUSED), (UnfitError, REFUSED))

log = partial(write_log, "bringup")


def main() -> int:
    """Bring the node up, and again whenever its root file system is lost; never returns."""
    parameters = read_parameters()
    log(f"farm {parameters.farm}, run mode {parameters.runmode}, hub {', '.join(parameters.hubs)}")
    reporter = Reporter(parameters, read_machine(), read_about().get("VERSION_ID", ""))
    trying = Trying(reporter)
    client = Client()
    trying.until_done(close_early)  # nothing is fetched before
    reporter.reached("linux")
    reporter.reached("network")
    trying.until_done(lambda: admit_release(parameters))
    reporter.reached("channel")
    while True:
        servers = NameServers()  # before the copy is made: no change is missed
        names = trying.until_done(lambda: bring_up(client, parameters))
        reporter.reached("flist")
        wait_and_report(client, names)
        log(f"node ready: farm {parameters.farm}, services {', '.join(sorted(names)) or 'none'}")
        notify_ready()
        reporter.reached("ready")
        try_to_close()
        wait_for_end(client, MOUNT_SERVICE, servers.follow)
        log("the mount of the flist has ended: bringing the node up again")


class NameServers:
    """Hands the node's name servers to the services again when a new lease has changed them."""

    def __init__(self, root: Path = ROOT, source: Path = RESOLV_CONF) -> None:
        self.root = root
        self.source = source
        self.seen = self._look()

    def follow(self) -> None:
        """Copy /etc/resolv.conf if it has changed."""
        now = self._look()
        if now == self.seen:
            return
        self.seen = now
        self.copy()

    def copy(self) -> None:
        """Copy /etc/resolv.conf; services must run without it, too."""
        try:
            copy_resolv_conf(self.root, self.source)
        except OSError as error:
            log(f"cannot give the services the name servers: {error}")

    def _look(self) -> bytes:
        try:
            return self.source.read_bytes()
        except OSError:
            return b""


class Trying:
    """Repeats what fails and says why: each time in the log, each reason once to the server."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.told = ""

    def until_done(self, step: Callable[[], T]) -> T:
        """Call `step` until it succeeds, with growing pauses."""
        for delay_s in backoff_delays():
            try:
                return step()
            except (ZosError, OSError) as error:
                self.tell(error)
                log(f"{error}; trying again in {delay_s:.1f} s")
                time.sleep(delay_s)
        raise AssertionError("the delays never end")

    def tell(self, error: Exception) -> None:
        """Show and report what keeps the node from booting, unless that was the last thing told."""
        code = code_of(error)
        if self.told == f"{code} {error}":
            return
        self.told = f"{code} {error}"
        if code:
            write_log("Zero-OS", describe(code))
        if hint := getattr(error, "hint", None):
            log(f"hint: {hint}")
        self.reporter.failed(code, str(error))


def code_of(error: Exception) -> str:
    """Return the code (`common.bootcodes`) of what keeps a node from booting, "" without one."""
    if isinstance(error, NodeError):
        return error.code
    return next((code for kind, code in CODES_OF_OTHERS if isinstance(error, kind)), "")


def read_parameters() -> BootParameters:
    """Return what the kernel's command line says; tell what is wrong with it."""
    try:
        return parse_parameters(Path("/proc/cmdline").read_text(errors="replace"), log)
    except NodeError:
        write_log("Zero-OS", describe("ZB45"))
        raise


def bring_up(client: Client, parameters: BootParameters) -> list[str]:
    """Fetch, verify and mount the flist and start its services; return their names.

    The remains of an earlier attempt are removed first.
    """
    clean_up(client)
    keys = load_public_keys(KEYS)
    limit_bytes = memory_bytes() // FLIST_SHARE
    name, proxy = parameters.flist_name, parameters.proxy
    hubs = rank_hubs(parameters.hubs, name, proxy)
    size, hub = fetch_from_any(hubs, name, META, keys, limit_bytes, proxy, log)
    log(f"flist {name} fetched from {hub} ({size} bytes), signature good")
    mount_flist(client, [hub, *(other for other in hubs if other != hub)], proxy)
    mount_root()
    NameServers().copy()
    log(f"flist mounted on {ROOT}")
    return start_services(client)


def start_services(client: Client) -> list[str]:
    """Add the flist's services to zinit; return those that it took.

    One that cannot be started costs only itself: the node is ready with the others.
    """
    services = read_services(ROOT)
    if not services:
        raise NodeError("cannot start services: the flist has none in etc/zinit")
    for name in sorted(own_services(client).intersection(services)):
        log(f"cannot start {name}: the node itself has a service of that name")
        del services[name]
    for name in [name for name in services if is_long(name)]:
        log(f"cannot start {ascii(name)[1:-1]}: its name is too long")
        del services[name]
    names = install_services(services, SERVICES, OVERRIDE)
    for name in names:
        try:
            client.monitor(name)
        except ZosError as error:
            log(f"cannot start {ascii(name)[1:-1]}: {explain(client, name) or error}")
    known = client.list()
    return [name for name in names if name in known]


def own_services(client: Client) -> set[str]:
    """Return the names of the node's own services, refused ones included."""
    return {*client.list(), *(file.stem for file in SERVICES.glob("*.yaml"))}


def explain(client: Client, name: str) -> str:
    """Return why zinit does not know a service: what it says about the file, and its line."""
    try:
        return client.reason(name)
    except ZosError:
        return ""


def clean_up(client: Client) -> None:
    """Stop the flist's services and unmount everything that an earlier attempt mounted."""
    known = client.list()
    for name in find_installed(SERVICES, OVERRIDE):
        if name in known:
            stop_service(client, name)
        remove_service(SERVICES, name)
    unmount_all(client)


def wait_and_report(client: Client, names: list[str]) -> None:
    """Wait until every service of the flist runs or has succeeded; log the missing ones.

    There is no deadline: zinit restarts services that fail. One that somebody has removed since is
    not waited for. The kernel is closed to modules even if one of them never gets ready.
    """
    overdue = time.monotonic() + CLOSE_AFTER_S
    while True:
        try:
            known = client.list()
            left = [name for name in names if name in known]
            return wait_for_services(client, left, REPORT_INTERVAL_S)
        except ZosError as error:
            log(f"{error}")
            if time.monotonic() > overdue:
                try_to_close()
            time.sleep(RETRY_S)


def try_to_close() -> None:
    """Close the kernel to modules, if the release says so."""
    try:
        close_modules()
    except NodeError as error:
        log(f"{error}")
