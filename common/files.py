"""Files that are written whole or not at all."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; raise `OSError` for anything else.

    Opening a pipe could block, and reading a device might never end.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file; raise `OSError` for anything else."""
    with open_regular(path) as stream:
        return stream.read()


def check_writable(path: Path) -> None:
    """Raise the `OSError` that `open_atomic` would raise, as far as it can be known beforehand."""
    refuse_special(path)
    number = 0
    if path.is_dir():
        number = errno.EISDIR
    elif not path.parent.exists():
        number = errno.ENOENT
    elif not path.parent.is_dir():
        number = errno.ENOTDIR
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        number = errno.EACCES
    if number:
        raise OSError(number, os.strerror(number), str(path))


def refuse_special(path: Path) -> None:
    """Raise `OSError` for a device, pipe or socket.

    The new file would replace it: `-o /dev/null` would remove /dev/null.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # creating the new file reports it
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


@contextlib.contextmanager
def open_atomic(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that replaces it when the block ends without exception.

    The stream's `name` is the temporary file's path. Data reaches the disk before the name does
    (fsync, then rename). On any exception the temporary file is removed and `path` is unchanged.
    An `OSError` about space or permissions names `path`. A `path` that is a device, pipe or socket
    raises `OSError`.
    """
    import tempfile  # takes as long to import as all else here

    refuse_special(path)
    prefix = f".{path.name[:64]}."
    try:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        with open(name, "w+b", opener=lambda *_: handle) as stream:
            yield stream
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        if isinstance(error, OSError) and (error.filename == name or error.errno in FULL):
            error.filename = str(path)
        raise
    sync_directory(path.parent)


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace the content of `path` by `data`, or leave it unchanged."""
    with open_atomic(path, mode) as stream:
        stream.write(data)


def sync_directory(path: Path) -> None:
    """Make renames in `path` survive a power failure, if the file system supports that."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
