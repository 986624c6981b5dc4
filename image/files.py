"""Reading and writing whole files, with errors for people."""

from pathlib import Path

from common.files import open_regular, write_atomic
from image.errors import ImageError


def read_file(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes. Raises `ImageError`."""
    try:
        with open_regular(path) as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise ImageError(f"cannot use {path}: it is larger than {limit} bytes")
    return data


def write_file(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all. Raises `ImageError`."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise ImageError(f"cannot write {path}: {error.strerror}") from error
