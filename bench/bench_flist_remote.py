"""How soon does a program run if its file system is at the far end of a slow link?

The flist is mounted by its URL, and the program fetches the blocks that it reads; once more with
the recorded reads replayed ahead of the program. For comparison, a whole squashfs is downloaded
and then mounted. 50 ms round trip, 100 Mbit/s, between two network namespaces; needs root.
"""

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
    need_root,
    read_options,
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
    options = read_options("flist_remote", __doc__, "one round instead of three")
    need("mksquashfs", "mkfs.erofs", "ip", "nsenter", "curl")
    need_root("make network namespaces")
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
    """Return the ratios to show."""
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
    """Mount with empty caches; record when the program has printed, and the bytes received."""
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
    """Mount the flist by its URL; yield the mount point."""
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
    """Poll frequently until `target` is a mount point."""
    deadline = time.monotonic() + 20
    while not target.is_mount():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{target} is not mounted")
        time.sleep(0.005)


@contextlib.contextmanager
def mount_downloaded(link: Link, top: Path) -> Iterator[Path]:
    """Download the whole image and mount it; yield the mount point."""
    image = top / "downloaded.squashfs"
    run(*link.inside("curl", "-sf", "-o", image, f"{link.url}/tree.squashfs"))
    try:
        with mount_kernel(image, top / "mnt") as served:
            yield served.path
    finally:
        image.unlink()


if __name__ == "__main__":
    sys.exit(main())
