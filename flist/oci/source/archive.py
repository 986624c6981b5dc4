"""Files inside a tar archive, without unpacking it: each is a part of the archive's own file."""

import io
import os
from pathlib import Path
from typing import BinaryIO

from common.text import printable
from flist.oci.errors import ImageError
from flist.oci.image import new_spool
from flist.oci.layer import tar
from flist.oci.layer.inflate import MAGIC_BYTES, inflate, is_compressed

MAX_MEMBERS = 100_000
MAX_LINKS = 8


class Part(io.RawIOBase):
    """`size` bytes from `start` of a file, as a file that can be sought in."""

    def __init__(self, handle: int, start: int, size: int) -> None:
        self.handle = handle
        self.start = start
        self.size = size
        self.place = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be sought in."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        self.place = max(0, offset + (0, self.place, self.size)[whence])
        return self.place

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Read what fits."""
        want = min(len(buffer), max(0, self.size - self.place))
        data = os.pread(self.handle, want, self.start + self.place)
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)


class FileSource:
    """A file as the tar reader wants it; passing over is seeking."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.size = stream.seek(0, 2)
        stream.seek(0)

    def read(self, size: int) -> bytes:
        """Read."""
        return self.stream.read(min(size, self.size))

    def skip(self, size: int) -> None:
        """Go on."""
        if self.stream.tell() + size > self.size:
            raise ImageError("the archive is cut off")
        self.stream.seek(size, 1)


class Archive:
    """The files of a tar archive; a compressed one is unpacked into a temporary file first."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.parts: dict[str, tuple[int, int]] = {}
        self.links: dict[str, str] = {}

    @classmethod
    def open_file(cls, path: Path, limit: int) -> "Archive":
        """Open an archive that unpacks to at most `limit` bytes."""
        try:
            stream: BinaryIO = path.open("rb")
        except OSError as error:
            raise ImageError(f"cannot read {path}: {error.strerror}") from error
        try:
            stream = unpack_if_packed(stream, limit)
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
        """Note where everything is; of two members of one name the later counts, as in tar."""
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
                folder = os.path.dirname(name)  # noqa: PTH120 a name, no path of ours
                self.links[name] = os.path.normpath(f"{folder}/{os.fsdecode(entry.target)}")
            elif entry.kind == tar.HARD_LINK:
                self.links[name] = os.path.normpath(os.fsdecode(entry.target))

    def find(self, name: str) -> tuple[int, int] | None:
        """Return where a file is; links lead to other members only."""
        for _ in range(MAX_LINKS):
            name = os.path.normpath(name)
            if name in self.parts:
                return self.parts[name]
            if name not in self.links:
                return None
            name = self.links[name].lstrip("/")
        return None

    def has(self, name: str) -> bool:
        """Whether there is a file called `name`."""
        return self.find(name) is not None

    def open(self, name: str) -> BinaryIO:
        """Return a file's content."""
        found = self.find(name)
        if found is None:
            raise ImageError(f"cannot read the archive: it has no {printable(name[:200])}")
        return io.BufferedReader(Part(self.stream.fileno(), *found), 1 << 20)


def unpack_if_packed(stream: BinaryIO, limit: int) -> BinaryIO:
    """Return `stream`, or a temporary file with what it unpacks to."""
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
