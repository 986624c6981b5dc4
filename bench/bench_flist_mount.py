"""How fast is a mounted flist compared with squashfs and EROFS, and how much memory does it use?

The same Debian tree in every file system, in turns: `find -ls`, `tar` of everything, a large file
sequentially and at random; cold (just mounted, kernel caches dropped) and warm. Images and blocks
are in memory; flists also decrypt and verify every block.
"""

import json
import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench.flist_mounts import (
    BIG_BYTES,
    MIB,
    Images,
    Mounter,
    hub_store,
    make_big_file,
    make_flat_flist,
    make_images,
    mount_flist,
    mount_kernel,
    mount_squashfuse,
    read_all,
    read_at_random,
    read_in_order,
    read_pss_mb,
    walk,
)
from bench.helpers import (
    Aim,
    drop_caches,
    make_tree,
    need,
    need_root,
    read_options,
    render,
    render_aims,
    scratch_folder,
    take_time,
    talk,
)

OURS, FUSE, KERNEL, EROFS = "zos flist mount", "squashfuse_ll", "kernel squashfs", "kernel EROFS"
CACHED = "zos flist mount, full cache"
AIMS = (
    Aim("cold find / squashfuse_ll", f"{OURS}: find cold", f"{FUSE}: find cold", 1.0),
    Aim("warm find / kernel squashfs", f"{OURS}: find warm", f"{KERNEL}: find warm", 1.5),
    Aim("cold tar / squashfuse_ll", f"{OURS}: tar cold", f"{FUSE}: tar cold", 1.0),
    Aim("warm tar / squashfuse_ll", f"{OURS}: tar warm", f"{FUSE}: tar warm"),
    Aim("cold tar / kernel squashfs", f"{OURS}: tar cold", f"{KERNEL}: tar cold"),
    Aim("tar after a remount with a full cache / warm", f"{CACHED}: tar cold", f"{OURS}: tar warm",
        1.0),
    Aim("tar after a remount / squashfuse_ll cold", f"{CACHED}: tar cold", f"{FUSE}: tar cold"),
    Aim("1 GiB in order, cold / squashfuse_ll", f"{OURS}: order cold", f"{FUSE}: order cold"),
    Aim("1 GiB in order, warm / squashfuse_ll", f"{OURS}: order warm", f"{FUSE}: order warm"),
    Aim("4 KiB at random, cold / squashfuse_ll", f"{OURS}: random cold", f"{FUSE}: random cold"),
    Aim("4 KiB at random, cold / kernel squashfs", f"{OURS}: random cold",
        f"{KERNEL}: random cold"),
)  # fmt: skip
PSS_LIMIT_MB = 60
INODES = 100_000
Times = dict[str, list[float]]
TREE_WORK = {"find": walk, "tar": read_all}
BIG_WORK = {"order": read_in_order, "random": read_at_random}


def main() -> int:
    """Measure and print."""
    options = read_options("flist_mount", __doc__, "2 rounds, a file of 128 MiB")
    need("mksquashfs", "mkfs.erofs", "squashfuse_ll", "tar", "dd")
    need_root("mount images")
    times: Times = {}
    try:
        with scratch_folder("flist-mount") as top:
            measure_tree(top, 2 if options.quick else 5, times)
            big = 128 * MIB if options.quick else BIG_BYTES
            measure_big(top, 2 if options.quick else 3, big, times)
            pss_mb = measure_memory(top)
    except KeyboardInterrupt:
        return 130
    medians = {name: statistics.median(values) for name, values in times.items()}
    if options.json:
        print(json.dumps({**medians, "pss_mb": pss_mb}))
        return 0
    print(render("A Debian tree, and a large file, mounted", medians))
    print(render_aims(AIMS, medians))
    missed = "" if pss_mb <= PSS_LIMIT_MB else "  missed"
    print(f"  PSS after a walk of {INODES} inodes, MB{pss_mb:29.1f}{'<=60':>8}{missed}")
    return 0


def measure_tree(top: Path, rounds: int, times: Times) -> None:
    """Walk and read the Debian tree."""
    tree = make_tree(top / "tree")
    talk("making images")
    images = make_images(tree, top)
    with hub_store(images) as url:
        words = ("--store", url, "--cache", str(top / "cache"))
        cached = partial(mount_flist, images.flist, top / "mnt", *words)
        with cached() as mount:
            read_all(mount.path)
        for _ in range(rounds):
            for name, mounter in contenders(images, top / "mnt").items():
                measure_mount(name, mounter, TREE_WORK, times)
            measure_mount(CACHED, cached, TREE_WORK, times)


def contenders(images: Images, target: Path) -> dict[str, Mounter]:
    """Return the mount function of each file system."""
    return {
        OURS: partial(mount_flist, images.flist, target),
        FUSE: partial(mount_squashfuse, images.squashfs, target),
        KERNEL: partial(mount_kernel, images.squashfs, target),
        EROFS: partial(mount_kernel, images.erofs, target),
    }


def measure_big(top: Path, rounds: int, size: int, times: Times) -> None:
    """Read one large file sequentially and at random."""
    folder = top / "big"
    (folder / "tree").mkdir(parents=True)
    talk("making a large file and its images")
    make_big_file(folder / "tree" / "big", size)
    images = make_images(folder / "tree", folder)
    (folder / "tree" / "big").unlink()
    for _ in range(rounds):
        for name, mounter in contenders(images, top / "mnt").items():
            measure_mount(name, mounter, BIG_WORK, times)


def measure_mount(
    name: str, mounter: Mounter, work: Mapping[str, Callable[[Path], None]], times: Times
) -> None:
    """Measure each kind of work twice: just after mounting, and once more."""
    for what, do in work.items():
        drop_caches()
        with mounter() as mount:
            for state in ("cold", "warm"):
                seconds = take_time(partial(do, mount.path))
                times.setdefault(f"{name}: {what} {state}", []).append(seconds)
                talk(f"  {name}: {what} {state} {seconds:.3f}")


def measure_memory(top: Path) -> float:
    """Return the PSS, in MB, of a mount of many inodes after a walk of all of them."""
    make_flat_flist(top / "many.fl", INODES)
    with mount_flist(top / "many.fl", top / "mnt") as mount:
        walk(mount.path)
        return read_pss_mb(mount.pid)


if __name__ == "__main__":
    sys.exit(main())
