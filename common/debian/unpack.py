"""Joins the files of .deb packages in one tar archive, without running any script of theirs.

A package is read as it is, ar and tar; nothing is written but the result. So owners, modes and
times are those of the packages whoever does it, and the same packages give the same bytes.
A header before each package's members says in `comment` which package they are of.
"""

import bz2
import fnmatch
import gzip
import io
import json
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import zstandard

from common.debian.archive import PackageError, plain_path
from common.debian.lock import LockedPackage

FORMAT = 1  # raise it when the archive of the same packages changes
AR_MAGIC = b"!<arch>\n"
AR_HEADER_BYTES = 60
READ_BYTES = 1 << 20
# Documentation is half of many packages; licences are kept.
UNWANTED = ("usr/share/man/*", "usr/share/doc/*/*")
WANTED = "usr/share/doc/*/copyright"
DOC_FOLDER = "usr/share/doc"
# Not those of tarfile: for each file it would copy all that it has decompressed ahead.
READERS: Mapping[str, Callable[[BinaryIO], Any]] = {
    "data.tar": lambda data: data,
    "data.tar.gz": lambda data: gzip.GzipFile(fileobj=data),
    "data.tar.bz2": bz2.BZ2File,
    "data.tar.xz": lzma.LZMAFile,
    "data.tar.zst": lambda data: zstandard.ZstdDecompressor().stream_reader(data),
}
DAMAGES = (OSError, tarfile.TarError, zstandard.ZstdError, lzma.LZMAError, zlib.error, EOFError)


class Joiner:
    """Writes packages into one archive.

    Directories come last, the deepest first: a directory's time is then right also after a program
    has unpacked the archive member by member.
    """

    def __init__(self, target: BinaryIO) -> None:
        self._tar = tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._seen: dict[str, tuple[bytes, str]] = {}
        self._directories: dict[str, tuple[LockedPackage, tarfile.TarInfo]] = {}

    def add(self, package: LockedPackage, stream: BinaryIO) -> None:
        """Add the files of a package, an open .deb. Raises `PackageError`."""
        self._write_owner(package)
        try:
            with open_files(stream) as files:
                for member in files:
                    path = plain_path(member.name)
                    if path and not is_unwanted(path, member):
                        self._add_member(package, path, member, files)
        except (*DAMAGES, ValueError) as error:
            raise PackageError(f"cannot unpack {package.name}: {error}") from error

    def close(self) -> None:
        """Write the directories, and the end of the archive."""
        last = None
        for path in sorted(self._directories, key=self._place_at_end):
            package, member = self._directories[path]
            if package != last:
                self._write_owner(package)
            self._tar.addfile(member)
            last = package
        self._tar.close()

    def _place_at_end(self, path: str) -> tuple[int, str, str]:
        return (-path.count("/"), self._directories[path][0].name, path)

    def _write_owner(self, package: LockedPackage) -> None:
        comment = json.dumps(asdict(package), sort_keys=True)
        header = tarfile.TarInfo.create_pax_global_header({"comment": comment})
        assert self._tar.fileobj is not None
        self._tar.fileobj.write(header)
        self._tar.offset += len(header)

    def _add_member(
        self, package: LockedPackage, path: str, member: tarfile.TarInfo, files: tarfile.TarFile
    ) -> None:
        if not (member.isdir() or member.isreg() or member.issym() or member.islnk()):
            raise ValueError(f"/{path} is neither a file, a folder nor a link")
        self._check_place(path, member)
        self._seen.setdefault(path, (member.type, package.name))
        new = plain_member(path, member)
        if member.isdir():
            self._directories.setdefault(path, (package, new))
        else:
            self._tar.addfile(new, files.extractfile(member) if member.isreg() else None)

    def _check_place(self, path: str, member: tarfile.TarInfo) -> None:
        """Raise `ValueError` if the place is taken by another package, or is behind a link."""
        kind, owner = self._seen.get(path, (b"", ""))
        if kind and not (kind == tarfile.DIRTYPE and member.isdir()):
            raise ValueError(f"/{path} is also in {owner}")
        for parent in PurePosixPath(path).parents:
            kind, owner = self._seen.get(str(parent), (tarfile.DIRTYPE, ""))
            if kind != tarfile.DIRTYPE:
                raise ValueError(f"/{path} is below a file or link of {owner}")


def plain_member(path: str, member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member with what counts of another: no names of users, no extensions."""
    new = tarfile.TarInfo(f"./{path}")
    new.type = tarfile.REGTYPE if member.isreg() else member.type
    new.mode, new.uid, new.gid = member.mode & 0o7777, member.uid, member.gid
    new.mtime, new.size = int(member.mtime), member.size if member.isreg() else 0
    new.linkname = f"./{plain_path(member.linkname)}" if member.islnk() else member.linkname
    return new


def is_unwanted(path: str, member: tarfile.TarInfo) -> bool:
    """Return whether a file is documentation, and not a licence.

    A package's own folder of documentation stays, so that its licence has a parent.
    """
    if fnmatch.fnmatchcase(path, WANTED):
        return False
    is_link = str(PurePosixPath(path).parent) == DOC_FOLDER and not member.isdir()
    return is_link or any(fnmatch.fnmatchcase(path, pattern) for pattern in UNWANTED)


def open_files(stream: BinaryIO) -> tarfile.TarFile:
    """Open the tar archive of a .deb's files, to be read once from start to end."""
    for name, data in ar_members(stream):
        if name in READERS:
            return tarfile.open(fileobj=READERS[name](data), mode="r|", bufsize=READ_BYTES)
    raise ValueError("it has no data.tar, so it is no Debian package")


def ar_members(stream: BinaryIO) -> Iterator[tuple[str, io.BufferedReader]]:
    """Yield the members of an ar archive; each is read before the next is asked for."""
    if stream.read(len(AR_MAGIC)) != AR_MAGIC:
        raise ValueError("it does not begin like a Debian package")
    at = len(AR_MAGIC)
    while len(header := stream.read(AR_HEADER_BYTES)) == AR_HEADER_BYTES:
        name = header[:16].decode("ascii", "replace").strip().removesuffix("/")
        size = int(header[48:58])
        if size < 0 or header[58:] != b"`\n":
            raise ValueError("a header of its archive is damaged")
        yield name, io.BufferedReader(Window(stream, size), READ_BYTES)
        at += AR_HEADER_BYTES + size + size % 2
        stream.seek(at)


class Window(io.RawIOBase):
    """The next `size` bytes of a stream, as a stream."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into `buffer` what fits."""
        data = self._stream.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
