"""What a build takes out of an archive of packages: paths by globs, and entries."""

from collections.abc import Iterable

from common.debian.archive import PackageArchive
from image.model import Directory, Entry, File, Symlink
from image.tree import matches


def select_paths(
    archive: PackageArchive, patterns: Iterable[str], without: Iterable[str] = ()
) -> list[str]:
    """Return the paths that a glob of `patterns` matches and no glob of `without`."""
    wanted, unwanted = list(patterns), list(without)
    return [path for path in archive.paths if matches(path, wanted) and not matches(path, unwanted)]


def read_entry(archive: PackageArchive, path: str) -> Entry:
    """Return what is at `path`, without set-user-ID and similar bits, which no node needs."""
    member = archive.member(path)
    mode, uid, gid = member.mode & 0o777, member.uid, member.gid
    if member.isdir():
        return Directory(mode, uid, gid)
    if member.issym():
        return Symlink(member.linkname, uid, gid)
    return File(archive.read(path), mode, uid, gid)
