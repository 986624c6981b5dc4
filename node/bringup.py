"""The bring-up service: fetches and verifies the run mode's flist, mounts it, starts its services.

Every step that fails is retried, with growing pauses, for as long as the node runs. An unsigned or
altered flist is never mounted.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from common.errors import ZosError
from common.notify import notify_ready
from flist.format.signing.keys import load_public_keys
from node.backoff import backoff_delays
from node.cmdline import parse_parameters
from node.fetch import fetch_flist
from node.log import log as write_log
from node.model import BootParameters, NodeError
from node.rootfs import (
    META,
    MOUNT_SERVICE,
    ROOT,
    memory_bytes,
    mount_flist,
    mount_root,
    unmount_all,
)
from node.services import find_installed, install_services, read_services, with_dependency
from node.supervision import POLL_S, SERVICES, stop_service, wait_for_end, wait_for_services
from zinit.client.line import Client

T = TypeVar("T")

KEYS = Path("/etc/zero-os/keys/flist.pub")
FLIST_SHARE = 16  # the flist may use a sixteenth of RAM before its signature is checked
REPORT_INTERVAL_S = 30.0

log = partial(write_log, "bringup")


def main() -> int:
    """Bring the node up, and again whenever its root file system is lost; never returns."""
    parameters = parse_parameters(Path("/proc/cmdline").read_text(errors="replace"))
    log(f"farm {parameters.farm}, run mode {parameters.runmode}, hub {parameters.hub}")
    client = Client()
    while True:
        names = keep_trying(lambda: bring_up(client, parameters))
        wait_and_report(client, names)
        log(f"node ready: farm {parameters.farm}, services {', '.join(sorted(names))}")
        notify_ready()
        wait_for_end(client, MOUNT_SERVICE)
        log("the mount of the flist has ended: bringing the node up again")


def keep_trying(step: Callable[[], T]) -> T:
    """Call `step` until it succeeds, with growing pauses; log every failure."""
    for delay_s in backoff_delays():
        try:
            return step()
        except (ZosError, OSError) as error:
            log(f"{error}; trying again in {delay_s:.1f} s")
            time.sleep(delay_s)
    raise AssertionError("the delays never end")


def bring_up(client: Client, parameters: BootParameters) -> list[str]:
    """Fetch, verify and mount the flist and start its services; return their names.

    The remains of an earlier attempt are removed first.
    """
    clean_up(client)
    keys = load_public_keys(KEYS)
    limit_bytes = memory_bytes() // FLIST_SHARE
    size = fetch_flist(parameters.hub, parameters.flist_name, META, keys, limit_bytes)
    log(f"flist {parameters.flist_name} fetched ({size} bytes), signature good")
    mount_flist(client, parameters.hub)
    mount_root()
    log(f"flist mounted on {ROOT}")
    return start_services(client)


def start_services(client: Client) -> list[str]:
    """Add the flist's services to zinit; one that zinit rejects does not block the others."""
    services = with_dependency(read_services(ROOT), MOUNT_SERVICE)
    started = []
    for name in install_services(services, ROOT, SERVICES, set(client.list())):
        try:
            client.monitor(name)
            started.append(name)
        except ZosError as error:
            log(f"cannot start {name}: {error}")
    if not started:
        raise NodeError("cannot start any of the flist's services")
    return started


def clean_up(client: Client) -> None:
    """Stop the flist's services and unmount everything that an earlier attempt mounted."""
    known = client.list()
    for name in find_installed(ROOT, SERVICES):
        if name in known:
            stop_service(client, name)
        (SERVICES / f"{name}.yaml").unlink(missing_ok=True)
    unmount_all(client)


def wait_and_report(client: Client, names: list[str]) -> None:
    """Wait until every service of the flist runs or has succeeded; log the missing ones.

    There is no deadline: zinit restarts services that fail.
    """
    while True:
        try:
            return wait_for_services(client, names, REPORT_INTERVAL_S)
        except ZosError as error:
            log(f"{error}")
            time.sleep(POLL_S)
