"""The folder of a release store.

    sha256/HEX               a file of a release, or its manifest, by the SHA-256 of its content
    releases/VERSION.json    a release: its manifest, which names files by their SHA-256
    metadata/N.ROLE.json     signed metadata, one file for each version; never changes
    metadata/timestamp.json  the newest timestamp; replacing it is what publishes

A file below `sha256` never changes, so a download never gets the bytes of two releases.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from common.errors import ZosError
from common.files import open_regular

_DIGEST = re.compile(r"[0-9a-f]{64}")
_METADATA = re.compile(r"(timestamp|[1-9][0-9]{0,8}\.[a-z]{1,32})\.json")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
_SET = re.compile(r"\.set[0-9a-f]{8}")
_SET_CHARS = len(".set00000000")


class StoreError(ZosError):
    """The store lacks something, or holds what it can't hold."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of the store in `top` are."""

    top: Path

    def __str__(self) -> str:
        """Return what the store is called in messages."""
        return str(self.top)

    def blob(self, sha256: str) -> Path:
        """Return where the file with this digest is."""
        if not _DIGEST.fullmatch(sha256):
            raise StoreError(f"{sha256[:80]!r} is not a SHA-256 digest")
        return self.top / "sha256" / sha256

    def release(self, version: str) -> Path:
        """Return where the manifest of a release is."""
        return self.top / "releases" / f"{check_version(version)}.json"

    def metadata(self, name: str) -> Path:
        """Return where a file of metadata is."""
        if not _METADATA.fullmatch(name):
            raise StoreError(f"{name[:80]!r} is not the name of a metadata file")
        return self.top / "metadata" / name

    def versions(self) -> list[str]:
        """Return the versions of the releases that are there, sorted."""
        names = (path.name for path in (self.top / "releases").glob("*.json"))
        return sorted(name.removesuffix(".json") for name in names if name[0] != ".")

    def holds(self, sha256: str, size: int) -> bool:
        """Return whether the file with this digest is there and whole; it is read through."""
        return is_whole(self.blob(sha256), sha256, size)

    def read(self, sha256: str, limit: int) -> bytes:
        """Return a small file by its digest; its reader checks the content."""
        try:
            with open_regular(self.blob(sha256)) as stream:
                data = stream.read(limit + 1)
        except FileNotFoundError as error:
            raise StoreError(f"the store lacks {sha256}") from error
        if len(data) > limit:
            raise StoreError(f"{sha256} in the store is larger than {limit} bytes")
        return data

    def fetch(self, name: str, limit: int) -> bytes | None:
        """Return a file of metadata, or None; it is read up to one byte beyond `limit`."""
        try:
            with open_regular(self.metadata(name)) as stream:
                return stream.read(limit + 1)
        except FileNotFoundError:
            return None


def is_whole(path: Path, sha256: str, size: int) -> bool:
    """Return whether a file has this content; it is read through."""
    try:
        with open_regular(path) as stream:
            return (
                path.stat().st_size == size
                and hashlib.file_digest(stream, "sha256").hexdigest() == sha256
            )
    except OSError:
        return False


def check_version(version: str) -> str:
    """Return `version` if it can be a file's name and a word of a script."""
    if not _VERSION.fullmatch(version):
        raise StoreError(f"cannot use {version[:80]!r} as the version of a release")
    return version


def boot_version(version: str) -> str:
    """Return the version of what a node boots of a release: without the end that names its set.

    That is what its os-release says. Releases with the same kernel and initramfs, but other flists,
    have it in common.
    """
    end = version[-_SET_CHARS:]
    return version[:-_SET_CHARS] if _SET.fullmatch(end) else version
