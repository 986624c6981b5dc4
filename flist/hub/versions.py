"""The earlier versions of flists: `history/<repo>/<name>/<SHA-256>.fl`, and `.sig` beside it.

A flist that is replaced is kept under the hash of its content, with the signature that was
published for it. What is published and what is kept change under one lock, which all copies of the
hub on one machine share.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.files import open_atomic, open_regular, sync_directory, write_atomic
from common.locks import hold_lock
from flist.errors import FlistError, SignatureError
from flist.format.signing.signature import MAX_TEXT_CHARS, parse_signature
from flist.format.signing.trailer import file_sha256

LOCK_DEADLINE_S = 60
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a flist: the one that is published, or one that was."""

    digest: str
    size: int
    published_s: float
    is_current: bool
    is_signed: bool


class Versions:
    """The published flists of the hub folder `root`, and at most `limit` earlier ones of each."""

    def __init__(self, root: Path, limit: int) -> None:
        self.root = root
        self.limit = limit

    def current(self, repo: str, name: str) -> Path:
        """Return where the flist itself is."""
        return self.root / "flists" / repo / name

    def folder(self, repo: str, name: str) -> Path:
        """Return where the earlier versions of a flist are."""
        return self.root / "history" / repo / name

    @contextlib.contextmanager
    def locked(self, repo: str) -> Iterator[None]:
        """Let nobody else publish in `repo` while the block runs."""
        folder = self.root / "history" / repo
        folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(folder / ".lock", "publishing", LOCK_DEADLINE_S, lambda _text: None):
            yield

    def keep(self, repo: str, name: str, successor: Path) -> None:
        """Keep the published flist, which `successor` replaces next. Call it under the lock."""
        path = self.current(repo, name)
        if not self.limit or not path.is_file():
            return
        folder = self.folder(repo, name)
        folder.mkdir(parents=True, exist_ok=True)
        link_or_copy(path.resolve(), folder / f"{file_sha256(path)}.fl")
        self.keep_signature(repo, name)
        self.prune(folder, file_sha256(successor))

    def keep_signature(self, repo: str, name: str) -> None:
        """Keep the published signature with its flist. Call it under the lock."""
        path = self.current(repo, name)
        signature = path.with_name(f"{path.name}.sig")
        digest = signed_digest(signature)
        folder = self.folder(repo, name)
        is_ours = path.is_file() and digest == file_sha256(path)
        if self.limit and digest and (is_ours or (folder / f"{digest}.fl").is_file()):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / f"{digest}.sig", signature.read_bytes())

    def prune(self, folder: Path, current: str) -> None:
        """Remove the oldest versions beyond the limit, not counting the current one."""
        kept = sorted(folder.glob("*.fl"), key=lambda path: path.stat().st_mtime)
        for path in [path for path in kept if path.stem != current][: -self.limit]:
            path.unlink()
            path.with_suffix(".sig").unlink(missing_ok=True)

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

    def restore(self, repo: str, name: str, digest: str) -> None:
        """Publish a version again, with its signature. Raises `FlistError` if it is not kept."""
        with self.locked(repo):
            kept = self.folder(repo, name) / f"{digest}.fl"
            path = self.current(repo, name)
            if not DIGEST.fullmatch(digest) or not kept.is_file():
                raise FlistError(f"there is no version {digest[:64]} of {repo}/{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("rb") as source, open_atomic(path) as target:
                shutil.copyfileobj(source, target)
                target.flush()
                self.keep(repo, name, kept)
                # A node that asks in between sees a signature that does not fit, and no flist
                # without the one that it must have.
                self.publish_signature(path.with_name(f"{name}.sig"), kept.with_suffix(".sig"))

    def publish_signature(self, published: Path, kept: Path) -> None:
        """Replace a signature by the kept one, or remove it if there is none."""
        if kept.is_file():
            write_atomic(published, kept.read_bytes())
        else:
            published.unlink(missing_ok=True)


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


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` another name of `source`, or a copy if they are on different disks."""
    if target.exists():
        os.utime(target, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
        return
    try:
        os.link(source, target)
        sync_directory(target.parent)
    except OSError:
        with source.open("rb") as stream, open_atomic(target) as copy:
            shutil.copyfileobj(stream, copy)
        os.utime(target, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
