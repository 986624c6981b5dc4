"""A tar archive of unpacked Debian packages, from which a build takes single files."""

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from image.errors import ImageError
from image.model import Directory, Entry, File, Symlink
from image.tree import matches


class PackageArchive:
    """An open archive; contents are read when asked for. Use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tar: tarfile.TarFile | None = None
        self._members: dict[str, tarfile.TarInfo] = {}

    def __enter__(self) -> Self:
        try:
            self._tar = tarfile.open(self.path, "r:")
            self._members = {_path(member.name): member for member in self._tar}
        except (OSError, tarfile.TarError) as error:
            self.close()
            raise ImageError(
                f"cannot read {self.path}: {error}", hint="remove it; it is fetched again"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the archive can be entered again."""
        if self._tar is not None:
            self._tar.close()
            self._tar = None

    def paths(self) -> Iterator[str]:
        """Yield every path in order."""
        return iter(sorted(self._members))

    def select(self, patterns: Iterable[str], without: Iterable[str] = ()) -> list[str]:
        """Return the paths that a glob of `patterns` matches and none of `without` does."""
        wanted, unwanted = list(patterns), list(without)
        return [p for p in self.paths() if matches(p, wanted) and not matches(p, unwanted)]

    def __contains__(self, path: str) -> bool:
        return path in self._members

    def mtime(self, path: str) -> int:
        """Return the modification time of `path`, in whole seconds since 1970."""
        return int(self._member(path).mtime)

    def entry(self, path: str) -> Entry:
        """Return what stands at `path`; device nodes are not among what packages hold.

        Without set-user-ID and the like: who unpacks packages without root does not get them, and a
        release, which is the same for everybody, has no use for them.
        """
        member = self._member(path)
        mode, uid, gid = member.mode & 0o777, member.uid, member.gid
        if member.isdir():
            return Directory(mode, uid, gid)
        if member.issym():
            return Symlink(member.linkname, uid, gid)
        return File(self.read(path), mode, uid, gid)

    def read(self, path: str) -> bytes:
        """Return the content of the regular file (or hard link) at `path`."""
        assert self._tar is not None, "not open"
        stream = self._tar.extractfile(self._member(path))
        if stream is None:
            raise ImageError(f"cannot read /{path} from {self.path}: not a regular file")
        with stream:
            return stream.read()

    def _member(self, path: str) -> tarfile.TarInfo:
        try:
            return self._members[path]
        except KeyError:
            raise ImageError(
                f"cannot find /{path} among the packages",
                hint=f"remove {self.path}; it is fetched again",
            ) from None


def _path(name: str) -> str:
    return name.removeprefix("./").strip("/")
