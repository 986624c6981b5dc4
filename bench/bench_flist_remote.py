"""How soon does a program run whose file system is at the far end of a slow link?

Ours: mount the .fl by its address, and let the program fetch the blocks it reads; once more with
what was read replayed ahead of the program. Beside that: the whole squashfs is downloaded and
mounted first. 50 ms round trip, 100 Mbit/s, between two network namespaces; needs root.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.flist_mounts import make_images, mount_kernel
from bench.helpers import (
    Aim,
    drop_caches,
    make_tree,
    need,
    render,
    render_aims,
    run,
    scratch_folder,
    talk,
)
from bench.link import Link, slow_link
from tests.helpers.flist.mount import end

DELAY_MS, RATE_MBIT = 50, 100
PROGRAMS = {
    "python3": ("usr/bin/python3", "-c", "import json, urllib.request; print('up')"),
    "vim": ("usr/bin/vim.basic", "--version"),
}
Times = dict[str, list[float]]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="zos bench flist_remote", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round in place of three")
    parser.add_argument("--json", action="store_true", help="one object on stdout")
    options = parser.parse_args()
    need("mksquashfs", "mkfs.erofs", "ip", "nsenter", "curl")
    if os.geteuid() != 0:
        sys.exit("needs root, to make network namespaces")
    times: Times = {}
    try:
        with scratch_folder("flist-remote") as top:
            images = make_images(make_tree(top / "tree"), top)
            os.link(images.squashfs, images.hub / "tree.squashfs")
            os.link(images.flist, images.hub / "tree.fl")
            with slow_link(images.hub, DELAY_MS, RATE_MBIT) as link:
                for _ in range(1 if options.quick else 3):
                    for name, words in PROGRAMS.items():
                        trace = ("--record", str(top / f"{name}.trace"))
                        recording = partial(mount_remote, extra=trace)
                        measure(f"{name}, flist", recording, link, top, words, times)
                        replaying = partial(mount_remote, extra=("--replay", trace[1]))
                        measure(f"{name}, replayed", replaying, link, top, words, times)
                        measure(f"{name}, squashfs", mount_downloaded, link, top, words, times)
    except KeyboardInterrupt:
        return 130
    medians = {name: statistics.median(values) for name, values in times.items()}
    if options.json:
        print(json.dumps(medians))
        return 0
    print(render(f"First output of a program over {DELAY_MS} ms, {RATE_MBIT} Mbit/s", medians, ""))
    print(render_aims(make_aims(), medians))
    return 0


def make_aims() -> list[Aim]:
    """Return what is compared."""
    return [
        Aim(f"{name}: {kind} / squashfs, {what}", f"{name}, {kind}: {what}",
            f"{name}, squashfs: {what}", limit)
        for name in PROGRAMS
        for kind in ("flist", "replayed")
        for what, limit in (("seconds", 0.25), ("MB received", None))
    ]  # fmt: skip


def measure(
    name: str,
    mounter: Callable[[Link, Path], contextlib.AbstractContextManager[Path]],
    link: Link,
    top: Path,
    words: tuple[str, ...],
    times: Times,
) -> None:
    """Start from nothing and note when the program has printed, and what was received."""
    drop_caches()
    before = link.received_bytes()
    start = time.perf_counter()
    with mounter(link, top) as root:
        program, *arguments = words
        run("chroot", root, f"/{program}", *arguments)
        seconds = time.perf_counter() - start
    received = (link.received_bytes() - before) / 1e6
    times.setdefault(f"{name}: seconds", []).append(seconds)
    times.setdefault(f"{name}: MB received", []).append(received)
    talk(f"  {name}: {seconds:.2f} s, {received:.1f} MB")


@contextlib.contextmanager
def mount_remote(link: Link, top: Path, extra: tuple[str, ...] = ()) -> Iterator[Path]:
    """Mount the flist by its address, give the mount point."""
    target, cache = top / "mnt", top / "remote-cache"
    target.mkdir(exist_ok=True)
    address = f"{link.url}/tree.fl"
    zos = (sys.executable, "-m", "zero_os", "flist", "mount", "-m", address, "--cache", cache)
    words = link.inside(*zos, *extra, "--store", f"{link.url}/blocks", target)
    with subprocess.Popen(words, text=True) as process:
        try:
            wait_for_mount(target, process)
            yield target
        finally:
            end(process)
            run("rm", "-rf", cache)


def wait_for_mount(target: Path, process: subprocess.Popen[str]) -> None:
    """Wait closely until something is mounted on `target`."""
    deadline = time.monotonic() + 20
    while not target.is_mount():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{target} is not mounted")
        time.sleep(0.005)


@contextlib.contextmanager
def mount_downloaded(link: Link, top: Path) -> Iterator[Path]:
    """Download the whole image, mount it, give the mount point."""
    image = top / "downloaded.squashfs"
    run(*link.inside("curl", "-sf", "-o", image, f"{link.url}/tree.squashfs"))
    try:
        with mount_kernel(image, top / "mnt") as served:
            yield served.path
    finally:
        image.unlink()


if __name__ == "__main__":
    sys.exit(main())
