"""Reads and unpacks files of a tar archive of unpacked Debian packages.

Only directories, regular files, hard links and symbolic links are members; device nodes and the
like are left out. A path is text without a leading slash and without ".." ("usr/bin/kmod").
"""

import contextlib
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from common.debian.lock import LockedPackage
from common.errors import ZosError
from common.sealed import matches_seal


class PackageError(ZosError):
    """An archive of packages can't be read, or lacks a file."""


class PackageArchive:
    """An open archive of packages; content is read on demand."""

    def __init__(
        self, path: Path, tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]
    ) -> None:
        self.path = path
        self._tar = tar
        self._members = members

    @property
    def paths(self) -> list[str]:
        """Return every path, sorted."""
        return list(self._members)

    def __contains__(self, path: str) -> bool:
        return path in self._members

    def member(self, path: str) -> tarfile.TarInfo:
        """Return the type, mode, owner, time and link target of `path`."""
        try:
            return self._members[path]
        except KeyError:
            raise broken(self.path, f"cannot find /{path} among the packages") from None

    def owner(self, path: str) -> LockedPackage:
        """Return the package that `path` is of; a directory may be of others, too."""
        try:
            facts = json.loads(self.member(path).pax_headers["comment"])
            return LockedPackage(**facts)
        except (KeyError, ValueError, TypeError) as error:
            raise broken(self.path, f"cannot tell which package has /{path}") from error

    def read(self, path: str) -> bytes:
        """Return the content of a file; a link is followed within the archive."""
        try:
            stream = self._tar.extractfile(self.member(path))
        except (KeyError, RecursionError):  # a link that leads nowhere, or to itself
            stream = None
        if stream is None:
            raise PackageError(f"cannot read /{path} from {self.path}: not a regular file")
        with stream:
            return stream.read()

    def unpack(self, paths: Iterable[str], folder: Path) -> None:
        """Write files, directories and links into the empty `folder`, without their owners.

        Links are made after everything else, so nothing is written through one, and they lead to
        the same place below `folder` as they would below "/".
        """
        links: list[tuple[Path, str]] = []
        for path in paths:
            member, target = self.member(path), folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if member.isdir():
                target.mkdir(exist_ok=True)
            elif member.issym():
                links.append((target, link_target(path, member.linkname)))
            else:
                target.write_bytes(self.read(path))
                target.chmod(member.mode & 0o777 | 0o600)
        for place, leads in links:
            place.symlink_to(leads)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[PackageArchive]:
    """Open an archive and read its index. Raises `PackageError` if that fails.

    An archive with a seal is read through first, by the handle that is used from then on.
    """
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(open(path, "rb"))
            if not matches_seal(stream, path):
                raise broken(path, f"cannot use {path}: it does not match its SHA-256")
            tar = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
            members = {plain_path(member.name): member for member in tar if is_kept(member)}
        except (OSError, tarfile.TarError, ValueError) as error:
            raise broken(path, f"cannot read {path}: {error}") from error
        yield PackageArchive(path, tar, dict(sorted(members.items())))


def broken(path: Path, message: str) -> PackageError:
    """Return the error of an archive that should be fetched again."""
    return PackageError(message, hint=f"remove {path}; it is fetched again")


def is_kept(member: tarfile.TarInfo) -> bool:
    """Return whether a member is more than a device node, a pipe or the root directory."""
    is_known = member.isdir() or member.isreg() or member.issym() or member.islnk()
    return is_known and plain_path(member.name) != ""


def plain_path(name: str) -> str:
    """Return a member's path without "./"; raise `ValueError` for one outside the tree."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise ValueError(f"the path {name!r} leads out of the archive")
    return "/".join(parts)


def link_target(path: str, target: str) -> str:
    """Return the target of the link at `path`, relative, and confined to the tree as by chroot."""
    parent = PurePosixPath("/", path).parent
    return os.path.relpath(os.path.normpath(parent / target), parent)
