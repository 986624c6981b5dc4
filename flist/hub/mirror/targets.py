"""Where an export goes: a folder, or a bucket of an S3-compatible server."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import BaseError

from common.errors import UsageError
from common.files import open_atomic, open_regular
from flist.store.s3 import SECURE, is_bucket_missing, open_store

LIST = "api/flist"
BLOCKS = "blocks/"
FLISTS = "flists"
PIECE_BYTES = 1 << 20


class Target(Protocol):
    """Where an export goes: files by key."""

    def keys(self) -> set[str]:
        """Return the keys of all files."""

    def digest(self, key: str) -> str | None:
        """Return the SHA-256 of a file's content, or None if it is not there."""

    def write(self, key: str, data: bytes | Path) -> None:
        """Write a file, whole or not at all."""

    def remove(self, key: str) -> None:
        """Remove a file."""


class FolderTarget:
    """A folder, whose flists are also below flists/, where `zos hub serve` looks for them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def place(self, key: str) -> Path:
        """Return the path of a key."""
        is_flist = not key.startswith((BLOCKS, LIST))
        return self.root / (f"{FLISTS}/{key}" if is_flist else key)

    def keys(self) -> set[str]:
        """Return the keys of all files."""
        return set(self._walk())

    def _walk(self) -> Iterator[str]:
        for folder, _, files in os.walk(self.root):  # links to folders are not followed
            for name in files:
                key = str((Path(folder) / name).relative_to(self.root))
                if not name.startswith("."):
                    yield key.removeprefix(f"{FLISTS}/")

    def digest(self, key: str) -> str | None:
        """Return the SHA-256 of a file, or None."""
        try:
            return hash_pieces(read_pieces(self.place(key)))
        except FileNotFoundError:
            return None

    def write(self, key: str, data: bytes | Path) -> None:
        """Write a file, whole or not at all."""
        place = self.place(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        pieces = [data] if isinstance(data, bytes) else read_pieces(data)
        with open_atomic(place, mode=0o644) as stream:
            stream.writelines(pieces)
        repo = key.partition("/")[0]
        if place.is_relative_to(self.root / FLISTS):
            with contextlib.suppress(FileExistsError):
                (self.root / repo).symlink_to(f"{FLISTS}/{repo}")

    def remove(self, key: str) -> None:
        """Remove a file."""
        self.place(key).unlink(missing_ok=True)


class BucketTarget:
    """A bucket of an S3-compatible server."""

    def __init__(self, url: str) -> None:
        self.store = open_store(url)

    def keys(self) -> set[str]:
        """Return the keys of all objects."""
        with self._explained():
            return {item["path"] for page in obstore.list(self.store.bucket) for item in page}

    def digest(self, key: str) -> str | None:
        """Return the SHA-256 of an object, which is read for it, or None."""
        try:
            with self._explained():
                pieces = obstore.get(self.store.bucket, key).stream(PIECE_BYTES)
                return hash_pieces(bytes(piece) for piece in pieces)
        except FileNotFoundError:
            return None

    def write(self, key: str, data: bytes | Path) -> None:
        """Write an object."""
        with self._explained():
            obstore.put(self.store.bucket, key, data)

    def remove(self, key: str) -> None:
        """Remove an object."""
        with self._explained():
            obstore.delete(self.store.bucket, key)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the library's errors into `StoreError`; a missing object stays what it is."""
        try:
            yield
        except FileNotFoundError as error:
            if is_bucket_missing(error):
                raise self.store.refuse(error) from error
            raise
        except (BaseError, OSError) as error:
            raise self.store.refuse(error) from error


def open_target(place: str) -> Target:
    """Return the target at a path or at s3://KEY:SECRET@HOST:PORT/BUCKET. Raises `UsageError`."""
    scheme, mark, _ = place.partition("://")
    if not mark:
        return FolderTarget(Path(place))
    if scheme not in ("s3", *SECURE):
        raise UsageError(
            f"cannot export to {scheme}://", hint="a folder, or s3://KEY:SECRET@HOST:PORT/BUCKET"
        )
    return BucketTarget(place)


def read_pieces(path: Path) -> Iterator[bytes]:
    """Yield the content of a regular file."""
    with open_regular(path) as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


def hash_pieces(pieces: Iterable[bytes]) -> str:
    """Return the SHA-256 of pieces, one after the other."""
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return total.hexdigest()
