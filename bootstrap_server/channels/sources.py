"""Where a server's releases come from: a folder for each run mode, or a store with signed channels.

Nothing of a store is served before it is verified from the trusted root on: who can only write to
the store can't make a node boot anything else. Metadata is verified again when it changes or
expires.
"""

import copy
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from bootstrap_server.channels.earlier import Entry, read_earlier, read_history
from bootstrap_server.channels.releases import (
    BOOT_FILES,
    MANIFEST,
    NOT_ABSENT,
    LastFound,
    PublishedRelease,
    find_release,
    identify_digests,
    look_at,
    open_pinned_file,
    open_release_file,
)
from bootstrap_server.errors import NotReadyError, NotThereError
from bootstrap_server.options.model import parse_run_mode
from common.errors import ZosError
from common.releases.channel import Channel, digest_of, open_manifest, read_channel
from common.releases.layout import Layout, StoreError
from common.releases.manifest import MAX_BYTES, NAME
from common.runmodes import RUN_MODES
from common.tuf.trust import Trusted
from serving.content import BeingWrittenError, NotAtOnceError, Opener, OpenFile

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
PINNED_MAX = 64  # releases whose addresses go on working after another one was published


class Source(Protocol):
    """Releases by run mode. All of these may block, and raise `ZosError`s with an HTTP status."""

    def at_once(self, opener: Opener, /) -> "Source":
        """Return the same source with an opener that does not wait.

        It waits for nothing itself: what it would have to find out raises `NotAtOnceError`.
        """

    def find(self, run_mode: str) -> PublishedRelease:
        """Return what a run mode boots now."""

    def open(self, run_mode: str, name: str) -> OpenFile:
        """Open a file of what a run mode boots now."""

    def open_pinned(self, run_mode: str, identity: str, name: str) -> OpenFile:
        """Open a boot file of exactly the release `identity`."""

    def find_earlier(self, run_mode: str, version: str, /) -> PublishedRelease:
        """Return a release that the run mode has held before, to boot that one."""

    def list_earlier(self, run_mode: str, /) -> list[Entry]:
        """Return the releases that `find_earlier` may find, the newest first."""

    def open_metadata(self, name: str, /) -> OpenFile:
        """Open a file of signed metadata."""

    def open_target(self, run_mode: str, name: str, /) -> OpenFile:
        """Open a file that signed metadata names: "SHA256.NAME"."""


class FolderSource:
    """A folder below `releases` for each run mode; nothing is signed."""

    def __init__(self, releases: Path, opener: Opener) -> None:
        self.releases = releases
        self.opener = opener
        self._found = LastFound()

    def at_once(self, opener: Opener) -> "FolderSource":
        """Return the same source, which waits for nothing if `opener` doesn't."""
        return FolderSource(self.releases, opener)

    def find(self, run_mode: str) -> PublishedRelease:
        """Return what a run mode boots now."""
        folder = self.releases / parse_run_mode(run_mode)
        return self._found.find(
            run_mode,
            lambda: [look_at(folder / name) for name in (*BOOT_FILES, MANIFEST)],
            lambda: find_release(self.releases, run_mode, self.opener),
        )

    def open(self, run_mode: str, name: str) -> OpenFile:
        """Open a file of what a run mode boots now."""
        return open_release_file(self.releases, run_mode, name, self.opener)

    def open_pinned(self, run_mode: str, identity: str, name: str) -> OpenFile:
        """Open a boot file of exactly the release `identity`."""
        return open_pinned_file(self.releases, run_mode, identity, name, self.opener)

    def find_earlier(self, *_: str) -> PublishedRelease:
        """Refuse: a folder has one release."""
        raise NotThereError("this server has no earlier releases")

    def list_earlier(self, _: str, /) -> list[Entry]:
        """Return none: a folder has one release."""
        return []

    def open_metadata(self, _: str, /) -> OpenFile:
        """Refuse: there is none."""
        raise NotThereError("this server has no signed channels")

    def open_target(self, *_: str) -> OpenFile:
        """Refuse: there is none."""
        raise NotThereError("this server has no signed channels")


class StoreSource:
    """A release store; `root` is the metadata that is trusted. Threads may share one."""

    def __init__(
        self,
        store: Path,
        root: bytes,
        opener: Opener,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.layout = Layout(store)
        self.opener = opener
        self.clock = clock
        self._trusted = Trusted(root)
        self._found = LastFound()
        self._known: dict[str, tuple[bytes | None, Channel]] = {}
        self._pinned: OrderedDict[tuple[str, str], Channel] = OrderedDict()
        self._earlier: OrderedDict[tuple[str, str], tuple[int, Channel]] = OrderedDict()
        self._lock = threading.Lock()
        self._may_wait = True

    def at_once(self, opener: Opener) -> "StoreSource":
        """Return the same source, which goes by what this one has verified."""
        other = copy.copy(self)  # both have the same dictionaries and lock
        other.opener = opener
        other.clock = lambda: self.clock()
        other._may_wait = False
        return other

    def find(self, run_mode: str) -> PublishedRelease:
        """Return what a run mode boots now, if its files are there and whole."""
        channel = self._read(run_mode)
        return self._found.find(
            run_mode,
            lambda: (channel, [look_at(path) for path in self._places(channel)]),
            lambda: self._find(channel),
        )

    def _find(self, channel: Channel) -> PublishedRelease:
        """Return a channel's release if its files are there and whole."""
        for name in BOOT_FILES:
            self._open_file(channel, name).close()
        return PublishedRelease(
            identify_channel(channel), channel.release, self._parameters(channel)
        )

    def _places(self, channel: Channel) -> Iterator[Path]:
        """Yield where the store keeps a release's boot files and manifest."""
        digests = [channel.files[name].sha256 for name in BOOT_FILES if name in channel.files]
        if channel.manifest is not None:
            digests.append(digest_of(channel.manifest))
        yield from map(self.layout.blob, digests)

    def open(self, run_mode: str, name: str) -> OpenFile:
        """Open a file of what a run mode boots now."""
        return self._open_file(self._read(run_mode), name)

    def open_pinned(self, run_mode: str, identity: str, name: str) -> OpenFile:
        """Open a boot file of a release that the channel holds, or has held a while ago."""
        parse_run_mode(run_mode)
        channel = self._pinned.get((run_mode, identity))
        if channel is None and identify_channel(current := self._read(run_mode)) == identity:
            channel = current
        if channel is None and VERSION.fullmatch(identity):
            with suppress(NotThereError):
                channel = self._read_earlier(run_mode, identity)
        if channel is None or name not in BOOT_FILES:
            raise NotThereError(
                "the channel no longer holds this release",
                hint=f"/kernel/{run_mode}/release.ipxe names the current one",
            )
        return self._open_file(channel, name)

    def find_earlier(self, run_mode: str, version: str) -> PublishedRelease:
        """Return a release of the channel's signed history; its version is its identity.

        So every server with this store finds it again.
        """
        channel = self._read_earlier(run_mode, version)
        for name in BOOT_FILES:
            self._open_file(channel, name).close()
        return PublishedRelease(version, version, self._parameters(channel))

    def list_earlier(self, run_mode: str) -> list[Entry]:
        """Return what the channel has held and the store still has, but for what was withdrawn."""
        with self._told(run_mode):
            channel = self._verify(run_mode)
            rows = read_history(self.layout, channel)
        versions = set(self.layout.versions())
        return [row for row in rows if row.release in versions]

    def open_metadata(self, name: str) -> OpenFile:
        """Open a file of metadata; its reader verifies it."""
        return self._open_path(self.layout.metadata, name, "the store has no such metadata")

    def open_target(self, run_mode: str, name: str) -> OpenFile:
        """Open a file that metadata names, as long as the store has it."""
        parse_run_mode(run_mode)
        return self._open_blob(name.partition(".")[0])

    def _read(self, run_mode: str) -> Channel:
        """Return a verified channel that holds a release."""
        with self._told(run_mode):
            channel = self._verify(run_mode)
        if not channel.release:
            raise NotThereError("this channel holds no release")
        return channel

    def _read_earlier(self, run_mode: str, version: str) -> Channel:
        """Return a channel as it was when it held a release."""
        with self._told(run_mode):
            current = self._verify(run_mode)
            known, channel = self._earlier.get((run_mode, version), (None, None))
            if channel is not None and known == current.sequence:
                return channel
            self._check_may_wait()
            channel = read_earlier(self._trusted, self.layout, current, version, self.clock())
            self._earlier[run_mode, version] = current.sequence, channel
            if len(self._earlier) > PINNED_MAX:
                self._earlier.popitem(last=False)
        return channel

    @contextmanager
    def _told(self, run_mode: str) -> Iterator[None]:
        """Verify alone, and turn what is wrong into an answer for nodes."""
        parse_run_mode(run_mode)
        if not self._lock.acquire(blocking=self._may_wait):
            raise NotAtOnceError("a channel is being verified")
        try:
            yield
        except (NotThereError, NotAtOnceError):
            raise
        except OSError as error:
            if error.errno in NOT_ABSENT:
                raise
            raise NotReadyError(f"the channel {run_mode} can't be read: {error}") from error
        except ZosError as error:
            raise NotReadyError(f"the channel {run_mode} can't be trusted: {error}") from error
        finally:
            self._lock.release()

    def _check_may_wait(self) -> None:
        if not self._may_wait:
            raise NotAtOnceError("a channel must be verified")

    def _parameters(self, channel: Channel) -> tuple[str, ...]:
        """Return the kernel parameters of a channel's release."""
        assert channel.manifest is not None
        data = self.layout.read(digest_of(channel.manifest), MAX_BYTES)
        return open_manifest(channel, data).parameters

    def _verify(self, run_mode: str) -> Channel:
        stamp = self.layout.fetch("timestamp.json", 1 << 16)
        known, channel = self._known.get(run_mode, (None, None))
        if channel is not None and known == stamp and self.clock() < channel.expires:
            return channel
        self._check_may_wait()
        channel = read_channel(self._trusted, run_mode, self.layout.fetch, self.clock())
        if channel.manifest is not None:
            open_manifest(channel, self.layout.read(digest_of(channel.manifest), MAX_BYTES))
            self._pin(channel)
        self._trusted = channel.trusted
        self._known[run_mode] = (stamp, channel)
        return channel

    def _pin(self, channel: Channel) -> None:
        """Remember a release, so that a node that has begun to fetch it can go on."""
        self._pinned[channel.name, identify_channel(channel)] = channel
        if len(self._pinned) > PINNED_MAX:
            self._pinned.popitem(last=False)

    def _open_file(self, channel: Channel, name: str) -> OpenFile:
        if name == NAME and channel.manifest is not None:
            return self._open_blob(digest_of(channel.manifest))
        if name not in channel.files:
            raise NotThereError("this channel has no such file")
        return self._open_blob(channel.files[name].sha256)

    def _open_blob(self, sha256: str) -> OpenFile:
        """Open a file of the store that has the content that its name says."""
        file = self._open_path(self.layout.blob, sha256, "the store has no such file")
        if file.etag != f'"{sha256}"':
            file.close()
            raise NotReadyError(f"a file of the store is damaged: {sha256}")
        return file.kept()

    def _open_path(self, find: Callable[[str], Path], name: str, absent: str) -> OpenFile:
        """Open a file of the store; a lack of descriptors is not the lack of a file."""
        try:
            return self.opener.open(find(name))
        except OSError as error:
            if error.errno in NOT_ABSENT:
                raise
            raise NotThereError(absent) from error
        except StoreError as error:
            raise NotThereError(absent) from error


def identify_channel(channel: Channel) -> str:
    """Return the identity of a channel's release, as the addresses of its boot files hold it."""
    if missing := [name for name in BOOT_FILES if name not in channel.files]:
        raise NotThereError(f"the release {channel.release} has no {missing[0]}")
    return identify_digests(channel.files[name].sha256 for name in BOOT_FILES)


def find_channels(source: Source) -> dict[str, PublishedRelease | None]:
    """Return what the channel of every run mode holds now; None: nothing that a node can boot."""
    return {mode: find_bootable(source, mode) for mode in RUN_MODES}


def find_bootable(source: Source, run_mode: str) -> PublishedRelease | None:
    """Return what a channel holds if it is a whole release."""
    try:
        return source.find(run_mode)
    except (NotThereError, NotReadyError, BeingWrittenError):
        return None
