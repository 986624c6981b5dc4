"""Mounts the services' root file system: the read-only flist below a writable layer in RAM."""

import contextlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from common.files import write_atomic
from common.mounts import MS_BIND, MS_REC, mount, mount_overlay, unmount
from node.model import NodeError
from node.services import is_inside
from node.supervision import SERVICES, stop_service, wait_for_services
from zinit.client.line import Client

STATE = Path("/run/zero-os")
META = STATE / "root.fl"
LOWER = STATE / "lower"  # the flist, through FUSE
WRITABLE = STATE / "rw"  # the writable layer
ROOT = STATE / "root"  # the overlay of both
CACHE = STATE / "blocks"
RESOLV_CONF = Path("/etc/resolv.conf")
DRAFT = ".resolv.conf.zero-os"
MOUNT_SERVICE = "rootfs"
OVERLAY_SIZE = "50%"
CACHE_SHARE = 4  # the block cache may use a quarter of RAM
MOUNT_DEADLINE_S = 60.0


def mount_flist(client: Client, hubs: Sequence[str], proxy: str = "") -> None:
    """Have zinit mount the flist on `LOWER`; its blocks are fetched from a hub when read."""
    service = describe_mount(hubs, proxy)
    write_atomic(SERVICES / f"{MOUNT_SERVICE}.yaml", yaml.dump(service).encode())
    client.monitor(MOUNT_SERVICE)
    wait_for_services(client, [MOUNT_SERVICE], MOUNT_DEADLINE_S)
    # Every file on the node depends on this process, so the OOM killer must spare it.
    process = Path("/proc") / str(client.status(MOUNT_SERVICE)["pid"])
    (process / "oom_score_adj").write_text("-1000")


def describe_mount(hubs: Sequence[str], proxy: str) -> dict[str, object]:
    """Return the service that mounts the flist; it prefers the first hub."""
    size = str(memory_bytes() // CACHE_SHARE)
    call = ["zos", "flist", "mount", "--meta", str(META), "--cache", str(CACHE)]
    call += ["--allow-suid", "--allow-dev"]  # it is the root of the node's services
    call += ["--cache-size", size, "--in-order"]
    call += [word for hub in hubs for word in ("--store", f"{hub}/blocks")]
    call.append(str(LOWER))
    service: dict[str, object] = {"exec": shlex.join(call), "ready": "notify", "log": "console"}
    if proxy:
        from flist.http.origin import PROXY

        service["env"] = {PROXY: proxy}
    return service


def mount_root() -> None:
    """Mount the overlay on `ROOT`, with the kernel's file systems inside."""
    mount("tmpfs", WRITABLE, "tmpfs", options=f"size={OVERLAY_SIZE},mode=755")
    upper, work = WRITABLE / "upper", WRITABLE / "work"
    upper.mkdir()
    work.mkdir()
    mount_overlay(LOWER, upper, work, ROOT)
    for name in ("proc", "sys", "dev"):
        mount(f"/{name}", make_mount_point(ROOT, name), "", MS_BIND | MS_REC)
    mount("tmpfs", make_mount_point(ROOT, "run"), "tmpfs", options="mode=755")


def make_mount_point(root: Path, name: str) -> Path:
    """Return the folder `name` of a root file system, made if it is missing.

    With a link to /run the node's own /run would be mounted over, and zinit lost with it.
    """
    place = root / name
    if not is_inside(root, place):
        raise NodeError(f"cannot use the flist: /{name} is a link that leads out of it")
    place.mkdir(exist_ok=True)
    return place


def copy_resolv_conf(root: Path = ROOT, source: Path = RESOLV_CONF) -> None:
    """Give the services the node's name servers; raises `OSError`.

    Nothing is followed: `resolv.conf` is often a link, and what is inside the root is not trusted.
    """
    data = source.read_bytes()
    folder = os.open(root / "etc", os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
        with contextlib.suppress(FileNotFoundError):
            os.unlink(DRAFT, dir_fd=folder)
        draft = os.open(DRAFT, flags | os.O_EXCL, 0o644, dir_fd=folder)
        with os.fdopen(draft, "wb") as stream:
            stream.write(data)
        os.replace(DRAFT, "resolv.conf", src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def unmount_all(client: Client) -> None:
    """Unmount the overlay, stop the flist's mount, and leave empty folders."""
    unmount(ROOT)  # with the mounts inside
    unmount(WRITABLE)
    if MOUNT_SERVICE in client.list():
        stop_service(client, MOUNT_SERVICE)
    unmount(LOWER)
    for folder in (LOWER, WRITABLE, ROOT):
        folder.mkdir(parents=True, exist_ok=True)
    CACHE.mkdir(mode=0o700, exist_ok=True)


def memory_bytes() -> int:
    """Return the size of RAM."""
    words = Path("/proc/meminfo").read_text().split()
    return int(words[1]) * 1024
