"""The files of an image that is on this machine: in a directory, or inside a tar archive."""

import os
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from flist.oci.errors import ImageError
from flist.oci.manifest import MAX_MANIFEST_BYTES


class Files(Protocol):
    """Files by name, in a directory or an archive."""

    def open(self, name: str) -> BinaryIO:
        """Return a file's content, seekable; raises `ImageError` if it is not there."""

    def has(self, name: str) -> bool:
        """Return whether there is a file called `name`."""


class Folder:
    """The files of a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, name: str) -> BinaryIO:
        """Open a file; a FIFO or a device is refused, since reading it could block."""
        path = self.root / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ImageError(f"cannot read {path}: {error.strerror}") from error
        stream = os.fdopen(handle, "rb")
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            stream.close()
            raise ImageError(f"cannot read {path}: it is not a file")
        return stream

    def has(self, name: str) -> bool:
        """Return whether the file is there."""
        return (self.root / name).is_file()


def read_small(files: Files, name: str) -> bytes:
    """Return a file that describes others, of at most `MAX_MANIFEST_BYTES`."""
    with files.open(name) as stream:
        data = stream.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise ImageError(f"cannot read {name}: it has more than {MAX_MANIFEST_BYTES} bytes")
    return data
