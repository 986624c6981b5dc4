"""The file systems to compare, each with an image of the same tree."""

import contextlib
import random
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.helpers import run, zos_flist
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import Inode, Route
from tests.helpers.flist.mount import mounted, serving
from tests.helpers.waiting import wait_until

MIB = 1 << 20
BIG_BYTES = 1 << 30
RANDOM_READS = 2000
READ_SCRIPT = """\
import os, random, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(handle).st_size
os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_RANDOM)
choose = random.Random(7)
for _ in range(int(sys.argv[2])):
    os.pread(handle, 4096, choose.randrange(size // 4096) * 4096)
"""


class Images(NamedTuple):
    """The same tree for every file system, in one folder."""

    folder: Path

    @property
    def squashfs(self) -> Path:
        """Return the squashfs image (zstd level 3)."""
        return self.folder / "tree.squashfs"

    @property
    def erofs(self) -> Path:
        """Return the EROFS image (lz4hc)."""
        return self.folder / "tree.erofs"

    @property
    def flist(self) -> Path:
        """Return the flist; its blocks are in hub/blocks."""
        return self.folder / "tree.fl"

    @property
    def hub(self) -> Path:
        """Return the folder for the hub to serve."""
        return self.folder / "hub"


def make_images(tree: Path, folder: Path) -> Images:
    """Make the images of `tree`."""
    images = Images(folder)
    (images.hub / "flists").mkdir(parents=True)
    zos_flist("pack", "-m", images.flist, "-s", f"dir://{images.hub}/blocks", tree)
    squash = ("-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-Xcompression-level", "3")
    run("mksquashfs", tree, images.squashfs, *squash)
    run("mkfs.erofs", "-zlz4hc", images.erofs, tree)
    return images


def make_big_file(path: Path, size: int) -> None:
    """Make a file whose content is half random; no two chunks are equal."""
    source = random.Random(3)
    text = b"All work and no play makes Jack a dull boy.\n" * 6000
    with path.open("wb") as stream:
        while stream.tell() < size:
            stream.write(source.randbytes(256 * 1024))
            stream.write(text[: 256 * 1024])


def make_flat_flist(path: Path, count: int) -> None:
    """Make a flist of `count` inodes, a thousand per folder."""
    inodes = [Inode(1, 0, b"/", 4096, 0, 0, stat.S_IFDIR | 0o755, 0, 10**18, 10**18)]
    folder = 1
    while len(inodes) < count:
        ino = len(inodes) + 1
        if ino % 1000 == 2:
            folder = ino
            row = (ino, 1, b"folder-%d" % ino, 4096, 0, 0, stat.S_IFDIR | 0o755)
        else:
            row = (ino, folder, b"a-file-with-a-name-%d" % ino, 0, 0, 0, stat.S_IFREG | 0o644)
        inodes.append(Inode(*row, 0, 10**18 + ino, 10**18 + ino))
    write_flist(path, Tables(inodes, {}, {}, {}, [Route(0, 255, "dir:///nowhere")]))


class Served(NamedTuple):
    """A mounted tree and the process that serves it (0: the kernel)."""

    path: Path
    pid: int


Mounter = Callable[[], contextlib.AbstractContextManager[Served]]


@contextlib.contextmanager
def mount_flist(meta: Path, target: Path, *words: str) -> Iterator[Served]:
    """Mount a flist."""
    with mounted(meta, target, *words) as mount:
        yield Served(mount.path, mount.process.pid)


@contextlib.contextmanager
def mount_kernel(image: Path, target: Path) -> Iterator[Served]:
    """Mount an image with a loop device; the kernel detects its type."""
    target.mkdir(exist_ok=True)
    run("mount", "-o", "loop,ro", image, target)
    try:
        yield Served(target, 0)
    finally:
        run("umount", target)


@contextlib.contextmanager
def mount_squashfuse(image: Path, target: Path) -> Iterator[Served]:
    """Mount with squashfuse_ll."""
    target.mkdir(exist_ok=True)
    with subprocess.Popen(["squashfuse_ll", "-f", str(image), str(target)]) as process:
        try:
            wait_until(lambda: target.is_mount(), "squashfuse_ll to mount", 20)
            yield Served(target, process.pid)
        finally:
            subprocess.run(["umount", "-l", str(target)], check=False)
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def hub_store(images: Images) -> Iterator[str]:
    """Serve the blocks; yield the store's URL."""
    with serving(images.hub) as hub:
        yield hub.url + "/blocks"


def walk(path: Path) -> None:
    """List everything with its attributes."""
    run("bash", "-c", f"find {path} -ls > /dev/null")


def read_all(path: Path) -> None:
    """Read everything; the pipe is needed, since tar reads nothing if it writes to /dev/null."""
    run("bash", "-c", f"tar -C {path} -cf - . | cat > /dev/null")


def read_in_order(path: Path) -> None:
    """Read the big file sequentially."""
    run("dd", f"if={path / 'big'}", "of=/dev/null", "bs=1M")


def read_at_random(path: Path) -> None:
    """Read 4 KiB at a time at random offsets of the big file."""
    run(sys.executable, "-IS", "-c", READ_SCRIPT, path / "big", str(RANDOM_READS))


def read_pss_mb(pid: int) -> float:
    """Return the proportional set size, in MB, of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for one in (pid, *children):
        text = Path(f"/proc/{one}/smaps_rollup").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("Pss:"))
        total += int(line.split()[1])
    return total / 1024
