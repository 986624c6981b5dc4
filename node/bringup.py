"""From a network to a working node: the run mode's flist, verified, mounted, its services started.

Every step that can fail for want of the network or the hub is tried again, with growing pauses,
for as long as the node runs; a flist that is unsigned or altered is never mounted.
"""

import os
import select
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

from common.errors import ZosError
from common.files import write_atomic
from common.mounts import MS_BIND, MS_REC, mount, mount_overlay, unmount
from common.notify import notify_ready
from flist.format.signing.keys import load_public_keys
from node.backoff import backoff_delays
from node.cmdline import parse_parameters
from node.fetch import fetch_flist
from node.model import BootParameters, NodeError
from node.services import find_installed, install_services, read_services, with_dependency
from zinit.client.line import Client

T = TypeVar("T")

SERVICES = Path("/etc/zinit")
KEYS = Path("/etc/zero-os/keys/flist.pub")
STATE = Path("/run/zero-os")
META = STATE / "root.fl"
LOWER = STATE / "lower"  # the flist, read-only, through FUSE
WRITABLE = STATE / "rw"  # what is written, in RAM
ROOT = STATE / "root"  # both together: where the services run
CACHE = STATE / "blocks"
MOUNT_SERVICE = "rootfs"
OVERLAY_SIZE = "50%"
CACHE_SHARE = 4  # the block cache may take a quarter of RAM
FLIST_SHARE = 16  # the flist itself, before its signature is checked, a sixteenth
MOUNT_DEADLINE_S = 60.0
REPORT_INTERVAL_S = 30.0
POLL_S = 0.1
SETTLED = ("Running", "Success")


def main() -> int:
    """Bring the node up, however often it takes, and again whenever its file system is lost."""
    parameters = parse_parameters(Path("/proc/cmdline").read_text(errors="replace"))
    log(f"farm {parameters.farm}, run mode {parameters.runmode}, hub {parameters.hub}")
    client = Client()
    while True:
        names = keep_trying(lambda: bring_up(client, parameters))
        wait_for_services(client, names)
        log(f"node ready: farm {parameters.farm}, services {', '.join(sorted(names))}")
        notify_ready()
        wait_for_end(client, MOUNT_SERVICE)
        log("the mount of the flist has ended: bringing the node up again")


def keep_trying(step: Callable[[], T]) -> T:
    """Call `step` until it succeeds, with growing pauses; every failure is a line in the log."""
    for delay_s in backoff_delays():
        try:
            return step()
        except (ZosError, OSError) as error:
            log(f"{error}; trying again in {delay_s:.1f} s")
            time.sleep(delay_s)
    raise AssertionError("the delays never end")


def bring_up(client: Client, parameters: BootParameters) -> list[str]:
    """Fetch, verify and mount the flist and start its services; return their names.

    Whatever an earlier try left behind goes away first.
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
    """Hand the flist's services to zinit; one that it refuses does not hold up the others."""
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
    """Undo what an earlier try did, from the top down, and make the folders."""
    known = client.list()
    for name in find_installed(ROOT, SERVICES):
        if name in known:
            stop_service(client, name)
        (SERVICES / f"{name}.yaml").unlink(missing_ok=True)
    unmount(ROOT)  # with all that is mounted inside
    unmount(WRITABLE)
    if MOUNT_SERVICE in known:
        stop_service(client, MOUNT_SERVICE)
    unmount(LOWER)
    for folder in (LOWER, WRITABLE, ROOT):
        folder.mkdir(parents=True, exist_ok=True)
    CACHE.mkdir(mode=0o700, exist_ok=True)


def stop_service(client: Client, name: str) -> None:
    """Stop and forget a service, within a deadline."""
    client.stop(name)
    deadline = time.monotonic() + MOUNT_DEADLINE_S
    while client.status(name)["pid"] != 0:
        if time.monotonic() > deadline:
            raise NodeError(f"cannot stop {name}: it still runs after {MOUNT_DEADLINE_S:g} s")
        time.sleep(POLL_S)
    client.forget(name)


def mount_flist(client: Client, hub: str) -> None:
    """Have zinit keep the flist mounted on LOWER; its blocks come from the hub as they are read."""
    call = ["zos", "flist", "mount", "--meta", str(META), "--cache", str(CACHE)]
    call += ["--allow-suid", "--allow-dev"]  # it is the root of the node's services
    call += [
        "--cache-size",
        str(memory_bytes() // CACHE_SHARE),
        "--store",
        f"{hub}/blocks",
        str(LOWER),
    ]
    service = {"exec": shlex.join(call), "ready": "notify", "log": "console"}
    write_atomic(SERVICES / f"{MOUNT_SERVICE}.yaml", yaml.dump(service).encode())
    client.monitor(MOUNT_SERVICE)
    wait_for(client, [MOUNT_SERVICE], MOUNT_DEADLINE_S)
    # Without it nothing on the node can be read: the kernel is to take anything else first.
    process = Path("/proc") / str(client.status(MOUNT_SERVICE)["pid"])
    (process / "oom_score_adj").write_text("-1000")


def memory_bytes() -> int:
    """Return how much RAM there is."""
    words = Path("/proc/meminfo").read_text().split()
    return int(words[1]) * 1024


def mount_root() -> None:
    """Put a writable layer in RAM over the flist, and the kernel's file systems inside."""
    mount("tmpfs", WRITABLE, "tmpfs", options=f"size={OVERLAY_SIZE},mode=755")
    upper, work = WRITABLE / "upper", WRITABLE / "work"
    upper.mkdir()
    work.mkdir()
    mount_overlay(LOWER, upper, work, ROOT)
    for name in ("proc", "sys", "dev"):
        (ROOT / name).mkdir(exist_ok=True)
        mount(f"/{name}", ROOT / name, "", MS_BIND | MS_REC)
    (ROOT / "run").mkdir(exist_ok=True)
    mount("tmpfs", ROOT / "run", "tmpfs", options="mode=755")
    resolv_conf = ROOT / "etc" / "resolv.conf"
    resolv_conf.unlink(missing_ok=True)  # often a link, which must not be followed
    resolv_conf.write_bytes(Path("/etc/resolv.conf").read_bytes())


def wait_for_services(client: Client, names: list[str]) -> None:
    """Wait until every service of the flist runs or has done its work; say what is waited for.

    zinit restarts what fails, so there is nothing to give up here.
    """
    while True:
        try:
            return wait_for(client, names, REPORT_INTERVAL_S)
        except ZosError as error:
            log(f"{error}")
            time.sleep(POLL_S)


def wait_for_end(client: Client, name: str) -> None:
    """Sleep until the process of service `name` ends."""
    pid = int(str(client.status(name)["pid"]))
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return
    try:
        select.select([process], [], [])
    finally:
        os.close(process)


def wait_for(client: Client, names: list[str], deadline_s: float) -> None:
    """Wait until each of `names` is settled, or raise `NodeError` saying which is not."""
    deadline = time.monotonic() + deadline_s
    while True:
        states = {name: str(client.status(name)["state"]) for name in names}
        waiting = {name: state for name, state in states.items() if state not in SETTLED}
        if not waiting:
            return
        if time.monotonic() > deadline:
            seen = ", ".join(f"{name} is {state}" for name, state in waiting.items())
            raise NodeError(f"not ready after {deadline_s:g} s: {seen}")
        time.sleep(POLL_S)


def log(text: str) -> None:
    """Write one line to where zinit collects them."""
    print(f"bringup: {text}", flush=True)
