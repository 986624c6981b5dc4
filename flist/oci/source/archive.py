"""Files inside a tar archive, read in place: nothing is unpacked."""

import io
import os
from pathlib import Path
from typing import BinaryIO

from common.text import printable
from flist.archive import tar
from flist.archive.inflate import MAGIC_BYTES, inflate, is_compressed
from flist.oci.errors import ImageError
from flist.oci.image import new_spool

MAX_MEMBERS = 100_000
MAX_LINKS = 8


class Part(io.RawIOBase):
    """`size` bytes from `start` of a file, as a seekable file."""

    def __init__(self, handle: int, start: int, size: int) -> None:
        self.handle = handle
        self.start = start
        self.size = size
        self.place = 0

    def readable(self) -> bool:
        """Return true, for `io.BufferedReader`."""
        return True

    def seekable(self) -> bool:
        """Return true, for `io.BufferedReader`."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position."""
        self.place = max(0, offset + (0, self.place, self.size)[whence])
        return self.place

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Read up to the end of the part."""
        want = min(len(buffer), max(0, self.size - self.place))
        data = os.pread(self.handle, want, self.start + self.place)
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)


class FileSource:
    """A file for the tar reader; it skips by seeking."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.size = stream.seek(0, 2)
        stream.seek(0)

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end."""
        return self.stream.read(min(size, self.size))

    def skip(self, size: int) -> None:
        """Skip `size` bytes."""
        if self.stream.tell() + size > self.size:
            raise ImageError("the archive is cut off")
        self.stream.seek(size, 1)


class Archive:
    """The files of a tar archive; a compressed archive is decompressed into a temporary file
    first."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.parts: dict[str, tuple[int, int]] = {}
        self.links: dict[str, str] = {}

    @classmethod
    def open_file(cls, path: Path, limit: int) -> "Archive":
        """Open an archive that decompresses to at most `limit` bytes."""
        try:
            stream: BinaryIO = path.open("rb")
        except OSError as error:
            raise ImageError(f"cannot read {path}: {error.strerror}") from error
        try:
            stream = decompress_if_needed(stream, limit)
            archive = cls(stream)
            archive.list_members()
        except BaseException:
            stream.close()
            raise
        return archive

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stream.close()

    def list_members(self) -> None:
        """Record where the members are; a later member replaces an earlier one of the same name."""
        reader = tar.TarReader(FileSource(self.stream))
        for count, entry in enumerate(reader):
            if count >= MAX_MEMBERS:
                raise ImageError(f"cannot read the archive: it has more than {MAX_MEMBERS} members")
            name = os.path.normpath(os.fsdecode(entry.name))
            self.parts.pop(name, None)
            self.links.pop(name, None)
            if entry.kind == tar.REGULAR and entry.extents is None:
                self.parts[name] = (self.stream.tell(), entry.size)
            elif entry.kind == tar.SYMLINK:
                folder = os.path.dirname(name)  # noqa: PTH120 a name in the archive
                self.links[name] = os.path.normpath(f"{folder}/{os.fsdecode(entry.target)}")
            elif entry.kind == tar.HARD_LINK:
                self.links[name] = os.path.normpath(os.fsdecode(entry.target))

    def find(self, name: str) -> tuple[int, int] | None:
        """Return (start, size) of a file, or None; links are followed inside the archive."""
        for _ in range(MAX_LINKS):
            name = os.path.normpath(name)
            if name in self.parts:
                return self.parts[name]
            if name not in self.links:
                return None
            name = self.links[name].lstrip("/")
        return None

    def has(self, name: str) -> bool:
        """Return whether there is a file called `name`."""
        return self.find(name) is not None

    def open(self, name: str) -> BinaryIO:
        """Return a file's content; raises `ImageError` if it is not there."""
        found = self.find(name)
        if found is None:
            raise ImageError(f"cannot read the archive: it has no {printable(name[:200])}")
        return io.BufferedReader(Part(self.stream.fileno(), *found), 1 << 20)


def decompress_if_needed(stream: BinaryIO, limit: int) -> BinaryIO:
    """Return `stream`, or a temporary file with its decompressed content."""
    start = stream.read(MAGIC_BYTES)
    stream.seek(0)
    if not is_compressed(start):
        return stream
    spool = new_spool()
    try:
        with stream:
            size = 0
            for piece in inflate(stream):
                size += len(piece)
                if size > limit:
                    raise ImageError(
                        f"the archive is refused: it unpacks to more than {limit} bytes",
                        hint="--max-size BYTES raises the limit",
                    )
                spool.write(piece)
    except BaseException:
        spool.close()
        raise
    return spool
