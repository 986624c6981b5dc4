"""Makes one entry on disk: whole with all its properties, or not at all.

An entry is made under a scratch name beside its own and renamed when it is complete. Everything is
relative to the handle of its directory, so a directory that is swapped for a link leads nowhere.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from flist.errors import FlistError, FormatError
from flist.folders import Folders, Near
from flist.model import CHUNK_BYTES, Block, Extent, chunk_count, chunk_size
from flist.unpack.plan import Entry
from flist.unpack.present import overlaps, read_present
from flist.unpack.properties import Rules, set_properties

ReadChunk = Callable[[Block, int], bytes | memoryview]
SCRATCH = re.compile(r"\.rfs-(\d+)-\d+")

UNFIT = frozenset(
    (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTSUP, errno.EMLINK, errno.EFBIG,
     errno.EOVERFLOW, errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
)  # fmt: skip
"""What the file system cannot hold, or a directory that somebody has removed or replaced: costs the
entry, not the unpack."""


class OccupiedError(FlistError):
    """A directory that is not empty is in the place of something else."""


class Scratch:
    """Gives the handle of an entry's directory, and a scratch name in there. What the block makes
    gets the entry's own name; it is removed if the block or that fails.

    The scratch name has the inode number, since several threads may write into one directory. A
    class, since each file passes here and a generator would cost several times as much.
    """

    __slots__ = ("draft", "folder", "folders", "name", "near", "path")

    def __init__(self, folders: Folders, entry: Entry, near: Near | None = None) -> None:
        self.folders = folders
        self.near = near
        self.path = entry.path
        self.draft = b".rfs-%d-%d" % (os.getpid(), entry.inode.ino)

    def __enter__(self) -> tuple[int, bytes]:
        folder, _, self.name = self.path.rpartition(b"/")
        self.folder = (self.near or self.folders).open(folder)
        return self.folder, self.draft

    def __exit__(self, kind: object, *_exc: object) -> None:
        is_placed = False
        try:
            if kind is None:
                self.put_in_place()
                is_placed = True
        finally:
            if not is_placed:
                with contextlib.suppress(OSError):
                    os.unlink(self.draft, dir_fd=self.folder)
            if self.near is None:
                os.close(self.folder)

    def put_in_place(self) -> None:
        """Rename the draft. Replaces an empty directory; raises `OccupiedError` for another one,
        whose content may be the user's."""
        folder = self.folder
        try:
            os.rename(self.draft, self.name, src_dir_fd=folder, dst_dir_fd=folder)
        except IsADirectoryError:
            try:
                os.rmdir(self.name, dir_fd=folder)
            except OSError as error:
                shown = self.folders.show(self.path)
                reason = f"{shown}: a directory is in its place: {error.strerror}"
                raise OccupiedError(reason) from error
            os.rename(self.draft, self.name, src_dir_fd=folder, dst_dir_fd=folder)


def remove_scratch(folder: int) -> None:
    """Remove the scratch files in a directory of this process and of killed ones. Those of other
    running processes stay."""
    with contextlib.suppress(PermissionError), os.scandir(folder) as listing:
        for found in listing:
            match = SCRATCH.fullmatch(found.name)
            if match and (int(match[1]) == os.getpid() or not is_running(int(match[1]))):
                with contextlib.suppress(OSError):
                    os.unlink(found.name, dir_fd=folder)


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def make_file(
    folders: Folders,
    entry: Entry,
    read_chunk: ReadChunk,
    rules: Rules,
    present: int | None = None,
    near: Near | None = None,
) -> list[str]:
    """Write a regular file; return what could not be set. `read_chunk` is not called for chunks
    that the open file `present` has in the same place. A single thread opens directories through
    `near`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with Scratch(folders, entry, near) as (folder, draft):
        try:
            handle = os.open(draft, flags, 0o600, dir_fd=folder)
        except FileExistsError:
            os.unlink(draft, dir_fd=folder)  # of a killed process that had our number
            handle = os.open(draft, flags, 0o600, dir_fd=folder)
        try:
            write_content(handle, entry, read_chunk, present)
            problems = set_properties(handle, entry, rules)
        finally:
            os.close(handle)
    return named(problems, folders, entry)


def named(problems: list[str], folders: Folders, entry: Entry) -> list[str]:
    """Return problems with the path of their entry."""
    return [f"{folders.show(entry.path)}: {problem}" for problem in problems]


def write_content(handle: int, entry: Entry, read_chunk: ReadChunk, present: int | None) -> None:
    """Write the chunks of a file, without the holes of a sparse one."""
    size = entry.inode.size
    if len(entry.blocks) != chunk_count(size):
        raise FormatError(f"it has {len(entry.blocks)} blocks for {size} bytes")
    extents = entry.meta.extents
    if extents is not None:
        os.ftruncate(handle, size)
    for index, block in enumerate(entry.blocks):
        start, length = index * CHUNK_BYTES, chunk_size(size, index)
        whole = Extent(start, length)
        parts = [whole] if extents is None else overlaps(extents, start, length)
        if not parts:
            continue
        chunk: bytes | memoryview | None = None
        if present is not None:
            chunk = read_present(present, block, start, length)
        if chunk is None:
            chunk = read_chunk(block, length)
        for part in parts:
            begin = part.start - start
            write_all(handle, chunk[begin : begin + part.length], part.start)


def write_all(handle: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`."""
    done = os.pwrite(handle, data, offset)
    while done < len(data):
        done += os.pwrite(handle, memoryview(data)[done:], offset + done)


def make_link(folders: Folders, entry: Entry, rules: Rules) -> list[str]:
    """Make a symbolic link; return what could not be set."""
    target = entry.meta.target or b""
    return make_node(
        folders, entry, rules, lambda folder, name: os.symlink(target, name, dir_fd=folder)
    )


def make_special(folders: Folders, entry: Entry, rules: Rules) -> list[str]:
    """Make a device, FIFO or socket; return what could not be set, or that the user lacks the
    right to make it."""
    inode = entry.inode
    try:
        return make_node(
            folders,
            entry,
            rules,
            lambda folder, name: os.mknod(name, inode.mode, inode.rdev, dir_fd=folder),
        )
    except PermissionError:
        return [f"{folders.show(entry.path)}: only root may make devices"]


def make_node(
    folders: Folders, entry: Entry, rules: Rules, make: Callable[[int, bytes], None]
) -> list[str]:
    """Call `make` with a directory and a scratch name in it, and set the properties; return what
    could not be set."""
    shown = folders.show(entry.path)
    with Scratch(folders, entry) as (folder, draft):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        make(folder, draft)
        if not folders.has_proc:
            return [f"{shown}: owner, mode and times: /proc is not mounted"]
        with open_made(folder, draft, entry, shown) as place:
            return named(set_properties(place, entry, rules), folders, entry)


@contextlib.contextmanager
def open_made(folder: int, name: bytes, entry: Entry, shown: str) -> Iterator[bytes]:
    """Give a path that leads to the link or special file `name` itself, whatever happens to its
    name. Raises `OccupiedError` if something else has taken its place already."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(handle)
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(entry.inode.mode) or status.st_nlink != 1:
            raise OccupiedError(f"{shown}: somebody has put something else in its place")
        yield b"/proc/self/fd/%d" % handle
    finally:
        os.close(handle)


def make_folder(folders: Folders, path: bytes) -> None:
    """Make a directory, or keep the one that exists. Anything else in its place is removed; a
    symbolic link might lead anywhere."""
    with folders.at(path) as (folder, name):
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                open_up(folder, name, status)
                with folders.opened(path) as handle:
                    remove_scratch(handle)
            else:
                os.unlink(name, dir_fd=folder)
                os.mkdir(name, 0o700, dir_fd=folder)


def is_shut(status: os.stat_result) -> bool:
    """Return whether this user owns a directory, but may not write into it."""
    return os.geteuid() == status.st_uid != 0 and status.st_mode & stat.S_IRWXU != stat.S_IRWXU


def open_up(folder: int, name: bytes, status: os.stat_result) -> None:
    """Let its owner write into a directory that forbids that, until its properties are set."""
    if not is_shut(status):
        return
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, dir_fd=folder)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode) | stat.S_IRWXU
        os.chmod(b"/proc/self/fd/%d" % handle, mode)  # noqa: PTH101
    finally:
        os.close(handle)


def make_name(folders: Folders, first: bytes, entry: Entry) -> None:
    """Make `entry` another name of the file at `first`, if that file could be made."""
    status, present = find_status(folders, first), find_status(folders, entry.path)
    if status is None or stat.S_ISDIR(status.st_mode):
        return
    if present is not None and os.path.samestat(status, present):
        return
    with folders.at(first) as (origin, old), Scratch(folders, entry) as (folder, draft):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        os.link(old, draft, src_dir_fd=origin, dst_dir_fd=folder, follow_symlinks=False)


def find_status(folders: Folders, path: bytes) -> os.stat_result | None:
    """Return the status of what is at `path`, or None if nothing is there."""
    try:
        with folders.at(path) as (folder, name):
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
