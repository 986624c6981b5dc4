"""Mounts flists and makes root file systems of them.

zinit runs a mount process for each. The workload's root is the flist below a writable layer in RAM;
Core-0's is the flist itself, read-only, with the node's own /run; firmware has no root.
"""

import contextlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml

from common.files import write_atomic
from common.mounts import MS_BIND, MS_REC, mount, mount_overlay, read_mounts, unmount
from node.flists.model import CORE, FIRMWARE, FLISTS, MOUNT_PREFIX, WORKLOAD, Flist
from node.flists.services import is_inside
from node.model import NodeError
from node.supervision import SERVICES, stop_service, wait_for_services
from zinit.client.line import Client

BLOCKS = Path("/run/zero-os/blocks")
CACHE = Path("/run/zero-os/cache")  # the disk, if the farmer gave one
RESOLV_CONF = Path("/etc/resolv.conf")
DRAFT = ".resolv.conf.zero-os"
FIRMWARE_PATH = Path("/sys/module/firmware_class/parameters/path")
FIRMWARE_FOLDER = "usr/lib/firmware"
KERNEL = Path("/")
KERNEL_FOLDERS = ("proc", "sys", "dev")
RUN = Path("/run")
OVERLAY_SIZE = "50%"
CACHE_SHARE = 4  # the block cache may use a quarter of RAM
MOUNT_DEADLINE_S = 120.0


@dataclass(frozen=True)
class Sources:
    """Where blocks come from, the preferred hub first, and where they are kept.

    `is_shared`: others may have written to that folder. 0 bytes is a share of RAM.
    """

    hubs: tuple[str, ...]
    proxy: str = ""
    cache: Path = BLOCKS
    cache_bytes: int = 0
    is_shared: bool = False


def mount_flist(
    client: Client, flist: Flist, sources: Sources, beside: Flist | None = None
) -> None:
    """Mount a flist and make its root; if it is mounted already, that goes first.

    The services of a workload `beside` it go on: those of both have one /run, with their sockets.
    """
    unmount_flist(client, flist)
    flist.lower.mkdir(parents=True, exist_ok=True)
    if not sources.is_shared:
        sources.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    service = describe_mount(flist, sources)
    write_atomic(SERVICES / f"{flist.service}.yaml", yaml.dump(service).encode())
    client.monitor(flist.service)
    wait_for_services(client, [flist.service], MOUNT_DEADLINE_S)
    spare(int(str(client.status(flist.service)["pid"])))
    ROOTS[flist.role](flist)
    if flist.role == WORKLOAD:
        make_run(flist, beside)


def spare(pid: int) -> None:
    """Keep the OOM killer from a mount's process: every file of its services depends on it."""
    Path(f"/proc/{pid}/oom_score_adj").write_text("-1000")


def describe_mount(flist: Flist, sources: Sources) -> dict[str, object]:
    """Return the service that mounts the flist."""
    size = str(sources.cache_bytes or memory_bytes() // CACHE_SHARE)
    call = ["zos", "flist", "mount", "--meta", str(flist.meta), "--cache", str(sources.cache)]
    if sources.is_shared:
        call.append("--check-cache")
    if flist.role == WORKLOAD:
        call += ["--allow-suid", "--allow-dev"]  # it is the root of the node's services
    call += ["--cache-size", size, "--in-order"]
    call += [word for hub in sources.hubs for word in ("--store", f"{hub}/blocks")]
    call.append(str(flist.lower))
    service: dict[str, object] = {"exec": shlex.join(call), "ready": "notify", "log": "console"}
    if sources.proxy:
        from flist.http.origin import PROXY

        service["env"] = {PROXY: sources.proxy}
    return service


def make_workload_root(flist: Flist) -> None:
    """Mount the overlay, with the kernel's file systems inside."""
    for folder in (flist.writable, flist.root):
        folder.mkdir(exist_ok=True)
    mount("tmpfs", flist.writable, "tmpfs", options=f"size={OVERLAY_SIZE},mode=755")
    upper, work = flist.writable / "upper", flist.writable / "work"
    upper.mkdir()
    work.mkdir()
    mount_overlay(flist.lower, upper, work, flist.root)
    for name in KERNEL_FOLDERS:
        mount(str(KERNEL / name), make_mount_point(flist.root, name), "", MS_BIND | MS_REC)


def make_run(flist: Flist, beside: Flist | None) -> None:
    """Mount /run in a workload's root: that of a running workload, or a new one."""
    place = make_mount_point(flist.root, "run")
    if beside is not None:
        mount(str(beside.root / "run"), place, "", MS_BIND)
    else:
        mount("tmpfs", place, "tmpfs", options="mode=755")


def make_core_root(flist: Flist) -> None:
    """Bind the read-only flist, with the kernel's file systems and the node's /run inside."""
    flist.root.mkdir(exist_ok=True)
    mount(str(flist.lower), flist.root, "", MS_BIND)
    for name in KERNEL_FOLDERS:
        mount(str(KERNEL / name), find_folder(flist, name), "", MS_BIND | MS_REC)
    # Without what is mounted in /run: a copy of another flist's mounts would keep them in use.
    mount(str(RUN), find_folder(flist, "run"), "", MS_BIND)
    if CACHE.is_mount():
        mount(str(CACHE), flist.root / "run" / CACHE.relative_to(RUN), "", MS_BIND)


def find_folder(flist: Flist, name: str) -> Path:
    """Return a folder of a root that can't be written to."""
    place = flist.root / name
    if not is_inside(flist.root, place) or not place.is_dir():
        raise NodeError(f"cannot use the flist {flist.name}: it has no folder /{name}")
    return place


def point_to_firmware(flist: Flist) -> None:
    """Let the kernel's drivers load firmware from the flist."""
    folder = flist.lower / FIRMWARE_FOLDER
    if not is_inside(flist.lower, folder) or not folder.is_dir():
        raise NodeError(f"cannot use the flist {flist.name}: it has no folder /{FIRMWARE_FOLDER}")
    FIRMWARE_PATH.write_text(str(folder))


def forget_firmware(flist: Flist) -> None:
    """Let the kernel not look for firmware in a flist that is to be unmounted."""
    with contextlib.suppress(FileNotFoundError):
        if Path(FIRMWARE_PATH.read_text().strip("\0\n")).is_relative_to(flist.lower):
            FIRMWARE_PATH.write_text("\0")  # to write nothing would change nothing


ROOTS = {CORE: make_core_root, FIRMWARE: point_to_firmware, WORKLOAD: make_workload_root}


def make_mount_point(root: Path, name: str) -> Path:
    """Return the folder `name` of a root file system, made if it is missing.

    With a link to /run the node's own /run would be mounted over, and zinit lost with it.
    """
    place = root / name
    if not is_inside(root, place):
        raise NodeError(f"cannot use the flist: /{name} is a link that leads out of it")
    place.mkdir(exist_ok=True)
    return place


def copy_resolv_conf(root: Path, source: Path = RESOLV_CONF) -> None:
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


def unmount_flist(client: Client, flist: Flist) -> None:
    """Unmount a flist and what was mounted over it; its file stays. Its services must be down."""
    if flist.role == FIRMWARE:
        forget_firmware(flist)
    unmount_below(flist.top, keep=flist.lower)
    if flist.service in client.list():
        stop_service(client, flist.service)
    (SERVICES / f"{flist.service}.yaml").unlink(missing_ok=True)
    unmount_below(flist.top)


def forget_flist(client: Client, flist: Flist) -> None:
    """Unmount a flist and remove its folder."""
    unmount_flist(client, flist)
    remove_folder(flist.top)


def unmount_everything(client: Client, home: Path = FLISTS) -> None:
    """Unmount all flists, whoever has mounted them, and remove their folders."""
    for top in home.glob("*"):
        unmount_below(top, keep=top / "lower")
    for name in client.list():
        if name.startswith(MOUNT_PREFIX):
            stop_service(client, name)
    for file in SERVICES.glob(f"{MOUNT_PREFIX}*.yaml"):
        file.unlink()
    unmount_below(home)
    for place in home.glob("*"):
        if place.is_dir():
            remove_folder(place)
        else:
            place.unlink()  # it was being fetched


def unmount_below(top: Path, keep: Path | None = None) -> None:
    """Detach all mounts below a folder but the one on `keep`, the newest first."""
    targets = [Path(entry.target) for entry in read_mounts()]
    for target in reversed(targets):
        if target.is_relative_to(top) and target != keep:
            unmount(target)


def remove_folder(top: Path) -> None:
    """Remove the folder of a flist that is not mounted."""
    for name in ("lower", "rw", "root"):
        with contextlib.suppress(FileNotFoundError):
            (top / name).rmdir()
    for file in top.glob("*"):
        file.unlink()
    top.rmdir()


def memory_bytes() -> int:
    """Return the size of RAM."""
    words = Path("/proc/meminfo").read_text().split()
    return int(words[1]) * 1024
