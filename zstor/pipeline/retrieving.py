"""Reads files back: whole, verified, and only then under their name."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from common.files import open_atomic
from zstor.codec.checksum import LONG, start_checksum
from zstor.errors import DamagedError, LostError, NotStoredError
from zstor.format.file import StoredFile
from zstor.pipeline.reading import read_bytes
from zstor.pipeline.source import Watch, ignore
from zstor.pipeline.vault import Found, Vault

TRIES = 3


def find_file(vault: Vault, name: str) -> Found:
    """Return what is stored under a name; raise `NotStoredError` if nothing is."""
    found = vault.find(name)
    if found.file is None:
        raise NotStoredError(f"cannot read {name}: it is not stored")
    return found


def retrieve(vault: Vault, name: str, target: Path, watch: Watch = ignore) -> StoredFile:
    """Write a stored file to `target`.

    A file that is replaced while it is read is read again.
    """
    found = find_file(vault, name)
    for _ in range(TRIES):
        assert found.file is not None
        try:
            with open_atomic(target) as stream:
                write_verified(vault, found.file, stream, watch)
            return found.file
        except LostError:
            later = find_file(vault, name)
            if later.version == found.version:
                raise
            found = later
    raise DamagedError(f"cannot read {name}: it is replaced all the time")


def write_verified(vault: Vault, file: StoredFile, stream: BinaryIO, watch: Watch = ignore) -> None:
    """Write a file's bytes; raise `DamagedError` if they are not those that were stored."""
    for part in verified(file, read_bytes(vault, file)):
        watch(stream.write(part))


def verified(file: StoredFile, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes; raise `DamagedError` at the end if their checksum is another."""
    checksum = start_checksum(LONG)
    for part in parts:
        checksum.update(part)
        yield part
    if checksum.digest() != file.checksum:
        raise DamagedError(f"cannot read {file.name}: its checksum is not that of what was stored")
