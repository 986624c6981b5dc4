"""The tar archive of a flist's tree, in the POSIX form, which has names of any length.

The output of `write_tar` depends only on the tree and the time: entries are sorted by path, every
time is `mtime`, and no user or group has a name. Paths with the same `File` object are hard links
to the first of them.
"""

import io
import stat
import tarfile

from image.errors import FormatError
from image.formats.cpio import Member
from image.model import Device, Directory, Entry, File, Symlink
from image.tree import Tree

END = bytes(2 * tarfile.BLOCKSIZE)
TYPES = {"c": tarfile.CHRTYPE, "b": tarfile.BLKTYPE}
MODES = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
}


def write_tar(tree: Tree, mtime: int) -> bytes:
    """Return `tree` as an archive; `mtime` is in seconds since 1970."""
    output = io.BytesIO()
    seen: dict[int, str] = {}
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, entry in tree.items():
            info = _describe(path, entry)
            info.mtime = mtime
            if not isinstance(entry, File):
                archive.addfile(info)
            elif (first := seen.setdefault(id(entry), path)) != path:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
                archive.addfile(info)
            else:
                archive.addfile(info, io.BytesIO(entry.content))
    return output.getvalue()


def read_tar(data: bytes) -> list[Member]:
    """Return the members of an archive; a hard link has the content that it links to.

    Raises `FormatError`.
    """
    if not data.endswith(END):
        raise FormatError("cannot read the archive: its end mark is missing")
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            return [_member(archive, info) for info in archive]
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise FormatError(f"cannot read the archive: {error}") from error


def _describe(path: str, entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.uid, info.gid = entry.uid, entry.gid
    match entry:
        case File():
            info.size, info.mode = len(entry.content), entry.mode
        case Directory():
            info.type, info.mode = tarfile.DIRTYPE, entry.mode
        case Symlink():
            info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
        case Device():
            info.type, info.mode = TYPES[entry.kind], entry.mode
            info.devmajor, info.devminor = entry.major, entry.minor
    return info


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    first = archive.getmember(info.linkname) if info.islnk() else info
    if first.type not in MODES:
        raise FormatError(f"cannot read the archive: /{info.name} is of a type {info.type!r}")
    if info.issym():
        content = info.linkname.encode(errors="surrogateescape")
    else:
        stream = archive.extractfile(first) if first.isreg() else None
        content = stream.read() if stream else b""
    mode, device = MODES[first.type] | first.mode, (0, 0)
    if first.isdev():
        device = (first.devmajor, first.devminor)
    return Member(info.name, 0, mode, first.uid, first.gid, 1, int(info.mtime), device, content)
