"""The earlier versions of flists: `history/<repo>/<name>/<SHA-256>.fl`, and `.sig` beside it.

A flist that was replaced was kept under the hash of its content, with the signature that was
published for it. They are listed, and `zos hub init` imports them.
"""

from dataclasses import dataclass
from pathlib import Path

from common.files import open_regular
from flist.errors import SignatureError
from flist.format.signing.signature import MAX_TEXT_CHARS, parse_signature
from flist.format.signing.trailer import file_sha256
from flist.hub.names import DIGEST


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a flist: the one that is published, or one that was."""

    digest: str
    size: int
    published_s: float
    is_current: bool
    is_signed: bool


class Versions:
    """The published flists of the plain folder `root`, and the earlier ones of each."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def current(self, repo: str, name: str) -> Path:
        """Return where the flist itself is."""
        return self.root / "flists" / repo / name

    def folder(self, repo: str, name: str) -> Path:
        """Return where the earlier versions of a flist are."""
        return self.root / "history" / repo / name

    def list(self, repo: str, name: str) -> list[Version]:
        """Return all versions of a flist, the newest first; none if there never was one."""
        found: dict[str, Version] = {}
        path = self.current(repo, name)
        if path.is_file():
            digest = file_sha256(path)
            is_signed = signed_digest(path.with_name(f"{name}.sig")) == digest
            found[digest] = describe(path, digest, is_current=True, is_signed=is_signed)
        for kept in self.folder(repo, name).glob("*.fl"):
            digest = kept.stem
            if DIGEST.fullmatch(digest) and digest not in found:
                is_signed = kept.with_suffix(".sig").is_file()
                found[digest] = describe(kept, digest, is_current=False, is_signed=is_signed)
        order = sorted(found.values(), key=lambda version: version.published_s, reverse=True)
        return sorted(order, key=lambda version: not version.is_current)


def describe(path: Path, digest: str, *, is_current: bool, is_signed: bool) -> Version:
    """Return the version in the file `path`."""
    status = path.stat()
    return Version(digest, status.st_size, status.st_mtime, is_current, is_signed)


def signed_digest(signature: Path) -> str:
    """Return the SHA-256 that a signature is of; empty if there is no readable signature."""
    try:
        with open_regular(signature) as stream:
            text = stream.read(MAX_TEXT_CHARS + 1).decode()
        digest = parse_signature(text).sha256
    except (OSError, UnicodeDecodeError, SignatureError):
        return ""
    return digest if DIGEST.fullmatch(digest) else ""
