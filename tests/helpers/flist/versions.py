"""Random versions of a small tree. Entries change kind, owner, links and content, but rarely size
or time."""

import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from tests.helpers.flist.trees import make_acl, make_sparse

NAMES = "abcdef"
DEPTH = 2
CHUNK = 512 * 1024
SIZES = (0, 1, 100, 100, CHUNK, CHUNK + 1, CHUNK + 70_000)
SPARSE_BYTES = 3 * CHUNK
TIME_NS = 10**18


def make_version(root: Path, choose: random.Random) -> Path:
    """Replace the tree at `root` by another version."""
    shutil.rmtree(root, ignore_errors=True)
    fill_folder(root, choose, [], DEPTH)
    paths = [root, *root.rglob("*")]
    for path in paths:
        set_random_properties(path, choose)
    for path in paths:
        mtime_ns = TIME_NS + choose.choice((0, 0, 0, 1))
        os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)
    return root


def make_file(path: Path, choose: random.Random) -> None:
    """Make a file."""
    path.write_bytes(choose.choice((b"x", b"y", b"z")) * choose.choice(SIZES))


def make_holes(path: Path, choose: random.Random) -> None:
    """Make a sparse file."""
    part = (choose.choice((0, CHUNK, 2 * CHUNK + 5)), b"q" * choose.choice((10, 5000)))
    make_sparse(path, SPARSE_BYTES, [part])


def make_link(path: Path, choose: random.Random) -> None:
    """Make a symbolic link."""
    path.symlink_to(choose.choice(NAMES))


def make_special(path: Path, choose: random.Random) -> None:
    """Make a FIFO or a device."""
    kind, minor = choose.choice(((stat.S_IFIFO, 0), (stat.S_IFCHR, 3), (stat.S_IFCHR, 5)))
    os.mknod(path, kind, os.makedev(1, minor))


Maker = Callable[[Path, random.Random], None]
MAKERS: tuple[Maker, ...] = (make_file, make_file, make_holes, make_link, make_special)


def fill_folder(folder: Path, choose: random.Random, made: list[Path], depth: int) -> None:
    """Make a directory with random entries. `made` are the entries that may get further names."""
    folder.mkdir()
    for name in NAMES:
        path = folder / name
        kind = choose.choice((*MAKERS, "folder", "name", "none"))
        if callable(kind):
            kind(path, choose)
            made.append(path)
        elif kind == "folder" and depth:
            fill_folder(path, choose, made, depth - 1)
        elif kind == "name" and made:
            os.link(choose.choice(made), path, follow_symlinks=False)


def set_random_properties(path: Path, choose: random.Random) -> None:
    """Set random owner, mode, attribute and access lists of an entry."""
    os.chown(path, choose.choice((0, 0, 7)), choose.choice((0, 9)), follow_symlinks=False)
    if path.is_symlink():
        return
    path.chmod(choose.choice((0o644, 0o755, 0o4755, 0o6711, 0o1777)))
    lists = ["system.posix_acl_access"] + ["system.posix_acl_default"] * path.is_dir()
    for name in lists:
        if choose.random() < 0.2:
            os.setxattr(path, name, make_acl(choose.choice((5, 6))))
    if (path.is_file() or path.is_dir()) and choose.random() < 0.3:
        os.setxattr(path, "user.note", choose.choice((b"1", b"2")))


def is_folder(path: Path) -> bool:
    """Return whether a path is a directory, and not a link to one."""
    return path.is_dir() and not path.is_symlink()


def remove_others(folder: Path, wanted: Path) -> None:
    """Remove from `folder` the entries that `wanted` does not have, and directories where it has
    something else."""
    for path in list(folder.iterdir()):
        other = wanted / path.name
        if is_folder(path) and is_folder(other):
            remove_others(path, other)
        elif is_folder(path):
            shutil.rmtree(path)
        elif not os.path.lexists(other):
            path.unlink()
