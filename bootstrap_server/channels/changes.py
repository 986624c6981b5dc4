"""What a publisher's metadata changes: read and verified as clients do, before it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bootstrap_server.errors import ConflictError, RefusedError
from common.releases.channel import Channel, digest_of, interpret, open_manifest
from common.releases.layout import Layout
from common.releases.manifest import MAX_BYTES, NAME
from common.runmodes import RUN_MODES
from common.tuf.client import Fetch, open_session, read_role
from common.tuf.errors import MetadataError, RollbackError
from common.tuf.trust import Session, Trusted
from serving.content import FileOpener

STAMP = "timestamp.json"
HISTORY_MAX_BYTES = 64 << 20
SHOWN = 5  # missing files that an error names


@dataclass(frozen=True, slots=True)
class State:
    """All channels of a store, verified but for their expiry."""

    session: Session
    channels: Mapping[str, Channel]

    @property
    def version(self) -> int:
        """Return the version of the timestamp."""
        return self.session.versions[STAMP]


@dataclass(slots=True)
class Change:
    """A verified change: the metadata to write, and the manifests of releases that are new.

    `is_bridged` if clients of the old root accept the new timestamp; then new roots come last.
    """

    after: State
    changed: tuple[str, ...]
    files: Mapping[str, bytes]
    is_bridged: bool
    releases: dict[str, bytes] = field(default_factory=dict)

    def order(self, name: str) -> tuple[int, str]:
        """Return the place of a file among those that are written."""
        if name.endswith(".root.json"):
            return (2 if self.is_bridged else 0), name.rjust(24)
        return (1, "~") if name == STAMP else (1, name)

    def describe(self, before: State | None) -> dict[str, Any]:
        """Return what changes, for the audit log."""
        old = before.channels if before else {}
        return {
            "timestamp": self.after.version,
            "root": self.after.session.root.version,
            "channels": {
                name: {
                    "sequence": self.after.channels[name].sequence,
                    "from": old[name].release if name in old else "",
                    "to": self.after.channels[name].release,
                    "withdrawn": sorted(self.after.channels[name].withdrawn),
                }
                for name in self.changed
            },
        }


def read_state(root: bytes, layout: Layout) -> State | None:
    """Return what the store holds; None if nothing of it can be trusted, or there is nothing."""
    try:
        session = open_session(Trusted(root), layout.fetch, None)
        return State(session, read_channels(session, layout.fetch, (), None))
    except MetadataError:
        return None


def read_channels(
    session: Session, fetch: Fetch, fresh: tuple[str, ...], now: float | None
) -> dict[str, Channel]:
    """Return all channels; those in `fresh` must not have expired."""
    found = {}
    for name in RUN_MODES:
        session.now = now if name in fresh else None
        found[name] = interpret(name, read_role(session, name, fetch))
    return found


def read_change(
    root: bytes,
    layout: Layout,
    before: State | None,
    waiting: Mapping[str, bytes],
    stamp: bytes,
    now: float,
) -> Change:
    """Return the change to the timestamp `stamp`, with the metadata of `waiting` that it needs.

    Raises `ZosError` unless all of it is valid for clients that know the state before.
    """
    used: dict[str, bytes] = {}

    def fetch(name: str, limit: int) -> bytes | None:
        if name == STAMP:
            return stamp
        if name in waiting:
            used[name] = waiting[name]
            return waiting[name]
        return layout.fetch(name, limit)

    is_new = stamp != layout.fetch(STAMP, len(stamp))
    trusted = before.session.trusted if before else Trusted(root)
    session = open_session(trusted, fetch, now if is_new else None)
    changed = tuple(name for name in RUN_MODES if is_changed(session, before, name))
    after = State(session, read_channels(session, fetch, changed, now))
    if before and is_new and after.version <= before.version:
        raise RollbackError(
            f"{STAMP} is version {after.version}, and {before.version} is published"
        )
    new = {name: data for name, data in used.items() if layout.fetch(name, len(data)) != data}
    return Change(after, changed, new, is_bridged(layout, before, new, stamp))


def is_changed(session: Session, before: State | None, name: str) -> bool:
    """Return whether the snapshot of an update has another version of a channel."""
    info = session.infos.get(f"{name}.json")
    return before is None or info is None or info.version != before.channels[name].sequence


def is_bridged(
    layout: Layout, before: State | None, new: Mapping[str, bytes], stamp: bytes
) -> bool:
    """Return whether the new metadata without its roots is valid for clients of the old root."""
    if before is None:
        return False

    def fetch(name: str, limit: int) -> bytes | None:
        if name.endswith(".root.json"):
            return None
        return stamp if name == STAMP else new.get(name) or layout.fetch(name, limit)

    try:
        session = open_session(before.session.trusted, fetch, None)
        read_channels(session, fetch, (), None)
    except MetadataError:
        return False
    return True


def demand_files(layout: Layout, opener: FileOpener, change: Change) -> None:
    """Demand that the store has all files of the changed channels, whole, and take in releases.

    Raises `ConflictError` naming those that it lacks.
    """
    missing = []
    for name in change.changed:
        channel = change.after.channels[name]
        digests = {"history.jsonl": digest_of(channel.history)}
        if channel.manifest is not None:
            digests[NAME] = digest_of(channel.manifest)
        digests |= {path: file.sha256 for path, file in channel.files.items()}
        missing += [
            f"{name}/{path} ({sha256})"
            for path, sha256 in digests.items()
            if not is_whole(layout, opener, sha256)
        ]
    if missing:
        raise ConflictError(
            f"the store lacks {', '.join(missing[:SHOWN])}"
            + (f" and {len(missing) - SHOWN} more" if missing[SHOWN:] else ""),
            hint="PUT them to /api/store/sha256/ first",
        )
    for name in change.changed:
        take_release(layout, change, change.after.channels[name])


def is_whole(layout: Layout, opener: FileOpener, sha256: str) -> bool:
    """Return whether the store has a file with the content that its name says."""
    try:
        file = opener.open(layout.blob(sha256))
    except FileNotFoundError:
        return False
    file.close()
    return file.etag == f'"{sha256}"'


def take_release(layout: Layout, change: Change, channel: Channel) -> None:
    """Add the manifest of a channel's release to the change, if the channel may hold it."""
    if channel.manifest is None:
        return
    data = layout.read(digest_of(channel.manifest), MAX_BYTES)
    manifest = open_manifest(channel, data)
    place = layout.release(manifest.version)
    known = place.read_bytes() if place.exists() else data
    if change.releases.setdefault(manifest.version, data) != data or known != data:
        raise RefusedError(
            f"the store has another release {manifest.version}",
            hint="a version is given once; build the release anew",
        )


def demand_appended(layout: Layout, before: State | None, change: Change) -> None:
    """Demand that each history goes on from the one before."""
    for name in change.changed if before else ():
        old, new = (
            layout.read(digest_of(state.channels[name].history), HISTORY_MAX_BYTES)
            for state in (before, change.after)
            if state
        )
        if not new.startswith(old):
            raise RefusedError(f"the history of {name} does not go on from the one before")
