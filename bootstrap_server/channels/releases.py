"""Finding a release's files: a channel is a folder (or a link to one) below the releases' folder.

A node fetches kernel and initramfs in two requests, and a release may be published between them. It
therefore first asks which release there is, and then for the files of that release. Their addresses
hold the identity of both files, and answer 404 as soon as either file has changed.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bootstrap_server.errors import NotReadyError, NotThereError
from bootstrap_server.options.model import parse_run_mode
from common.releases.layout import StoreError
from common.releases.manifest import MAX_BYTES, parse_parameters
from serving.content import FileKey, Opener, OpenFile, make_key

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")  # appears in a script unescaped
BOOT_FILES = ("vmlinuz", "initramfs.zst")
MANIFEST = "manifest.json"
IDENTITY_CHARS = 32
NOT_ABSENT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What says nothing of the file: a node must ask again, and not be told that there is none."""


class PublishedRelease(NamedTuple):
    """A release to boot: `version` is the manifest's, empty where it has none.

    `identity` is what the addresses of its boot files hold. `parameters` are words that the kernel
    is given in any case. `is_whole` says that the kernel has its initramfs inside.
    """

    identity: str
    version: str
    parameters: tuple[str, ...] = ()
    is_whole: bool = False


class LastFound:
    """The release that was found last in each run mode, while the files are those it was found in.

    Files are looked at, not opened: whatever changes a file or puts another in its place changes
    what `look_at` returns, and digests are computed of settled files only. Threads may share one.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, PublishedRelease]] = {}

    def find(
        self, run_mode: str, look: Callable[[], object], find: Callable[[], PublishedRelease]
    ) -> PublishedRelease:
        """Return what `find` returns, called only if what `look` returns is new."""
        state = look()
        known, release = self._known.get(run_mode, (None, None))
        if release is not None and known == state:
            return release
        release = find()
        if look() == state:
            self._known[run_mode] = state, release
        return release


def look_at(path: Path) -> FileKey | None:
    """Return what changes when a file is written to or replaced; None without a file."""
    try:
        return make_key(path.stat())
    except OSError:
        return None


def open_release_file(releases: Path, run_mode: str, name: str, opener: Opener) -> OpenFile:
    """Open a file of a channel. Raises `NotThereError`, also for a link that leads outside."""
    parse_run_mode(run_mode)
    absent = NotThereError("this channel has no such file")
    if not _NAME.fullmatch(name):
        raise absent
    try:
        root = releases.resolve(strict=True)
        path = (root / run_mode / name).resolve(strict=True)
        if not path.is_relative_to(root):
            raise absent
        return opener.open(path)
    except OSError as error:
        if error.errno in NOT_ABSENT:
            raise
        raise absent from error
    except RuntimeError as error:  # a loop of links, before Python 3.13
        raise absent from error


def find_release(releases: Path, run_mode: str, opener: Opener) -> PublishedRelease:
    """Return what a channel holds now.

    Raises `NotThereError` if a boot file is missing, and `NotReadyError` if one is empty, or if the
    files are not those of the manifest: a release is being published, or publishing was
    interrupted.
    """
    with open_boot_files(releases, run_mode, opener) as files:
        if empty := [name for name in BOOT_FILES if not files[name].size]:
            raise NotReadyError(f"{empty[0]} of this channel's release is empty")
        manifest = read_manifest(releases, run_mode, opener)
        if manifest is None:
            return PublishedRelease(identify(files), "")
        check_manifest(manifest, files)
        version = manifest.version if _VERSION.fullmatch(manifest.version) else ""
        return PublishedRelease(identify(files), version, manifest.parameters)


def open_pinned_file(
    releases: Path, run_mode: str, identity: str, name: str, opener: Opener
) -> OpenFile:
    """Open a boot file of exactly the release `identity`. Raises `NotThereError` for any other."""
    if name not in BOOT_FILES:
        raise NotThereError("a release has no such file")
    with open_boot_files(releases, run_mode, opener) as files:
        if identify(files) != identity:
            raise NotThereError(
                "the channel no longer holds this release",
                hint=f"/kernel/{run_mode}/release.ipxe names the current one",
            )
        return files.pop(name)


@contextmanager
def open_boot_files(releases: Path, run_mode: str, opener: Opener) -> Iterator[dict[str, OpenFile]]:
    """Yield both boot files, open. Files that the caller did not take out are closed at the end."""
    files: dict[str, OpenFile] = {}
    try:
        for name in BOOT_FILES:
            files[name] = open_release_file(releases, run_mode, name, opener)
        yield files
    finally:
        for file in files.values():
            file.close()


def identify(files: Mapping[str, OpenFile]) -> str:
    """Return the identity of a release: a digest of its boot files' digests."""
    return identify_digests(files[name].etag.strip('"') for name in BOOT_FILES)


def identify_digests(digests: Iterable[str]) -> str:
    """Return the identity of a release whose boot files have these SHA-256s."""
    text = " ".join(f'"{digest}"' for digest in digests)
    return hashlib.sha256(text.encode()).hexdigest()[:IDENTITY_CHARS]


class Manifest(NamedTuple):
    """A channel's manifest, as far as it concerns boot files: their SHA-256 digests, by name."""

    version: str
    digests: Mapping[str, str]
    parameters: tuple[str, ...]


def read_manifest(releases: Path, run_mode: str, opener: Opener) -> Manifest | None:
    """Return a channel's manifest, or None: a channel need not have one.

    Raises `NotReadyError` if it cannot be parsed.
    """
    try:
        file = open_release_file(releases, run_mode, MANIFEST, opener)
    except NotThereError:
        return None
    with contextlib.closing(file):
        data = os.pread(file.handle, MAX_BYTES, 0)
    try:
        value = json.loads(data)
        digests = {name: str(value["files"][name]["sha256"]) for name in BOOT_FILES}
        return Manifest(
            str(value["version"]), digests, parse_parameters(value.get("parameters", []))
        )
    except (ValueError, KeyError, TypeError, RecursionError, StoreError) as error:
        raise NotReadyError("the manifest of this channel's release cannot be read") from error


def check_manifest(manifest: Manifest, files: Mapping[str, OpenFile]) -> None:
    """Raise `NotReadyError` unless `files` have the digests that the manifest lists."""
    for name, digest in manifest.digests.items():
        if files[name].etag != f'"{digest}"':
            raise NotReadyError(
                f"{name} is not the one that this channel's manifest names",
                hint="a release is being published; ask again in a moment",
            )
