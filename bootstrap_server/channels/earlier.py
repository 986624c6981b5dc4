"""Releases that a channel has held before, as far as its keys vouch for them.

The channel's history is signed, and so is each version of its metadata, which names the files of
the release that it held. Metadata of a key that was replaced since is not believed.
"""

import json
from typing import NamedTuple

from bootstrap_server.errors import NotReadyError, NotThereError
from common.releases.channel import HISTORY, Channel, digest_of, interpret, open_manifest
from common.releases.layout import Layout
from common.releases.manifest import MAX_BYTES
from common.tuf.client import METADATA_MAX_BYTES, Found, demand, open_session
from common.tuf.errors import SignatureError
from common.tuf.metadata import TARGETS, parse_metadata, read_targets
from common.tuf.trust import Trusted

HISTORY_MAX_BYTES = 64 << 20


class Entry(NamedTuple):
    """A release in a history: since when (UTC) the channel held it, the last time that it did."""

    sequence: int
    release: str
    at: str


def read_history(layout: Layout, channel: Channel) -> list[Entry]:
    """Return the releases that a channel has held, each once, the newest first."""
    data = layout.read(digest_of(channel.history), HISTORY_MAX_BYTES)
    channel.history.check(HISTORY, data)
    try:
        rows = [json.loads(line) for line in data.splitlines()]
        entries = [Entry(int(row["sequence"]), str(row["release"]), str(row["at"])) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotReadyError(f"the history of {channel.name} cannot be read") from error
    newest = {entry.release: entry for entry in entries}  # the last one of each release
    return sorted(
        (one for name, one in newest.items() if name and name not in channel.withdrawn),
        reverse=True,
    )


def read_earlier(
    trusted: Trusted, layout: Layout, current: Channel, version: str, now: float
) -> Channel:
    """Return the channel as it was when it held a release.

    Raises `NotThereError` for a release that it never held, or that was withdrawn.
    """
    if version in current.withdrawn:
        raise NotThereError(f"{version} was withdrawn: {current.withdrawn[version]}")
    found = [row for row in read_history(layout, current) if row.release == version]
    if not found:
        raise NotThereError(f"the channel {current.name} has never held this release")
    name = f"{found[0].sequence}.{current.name}.json"
    session = open_session(trusted, layout.fetch, now)
    metadata = parse_metadata(demand(layout.fetch, name, METADATA_MAX_BYTES), TARGETS)
    try:
        role = session.delegations[current.name]
        role.demand(name, metadata.signatures, metadata.payload)
    except SignatureError as error:
        raise NotThereError("the keys of this channel have changed since this release") from error
    was = Found(metadata.version, read_targets(metadata), current.expires, current.trusted)
    channel = interpret(current.name, was)
    if (channel.release, channel.sequence) != (version, found[0].sequence):
        raise NotReadyError(f"{name} is not the metadata of {version}")
    if channel.manifest is None:
        raise NotThereError(f"the channel {current.name} has never held this release")
    open_manifest(channel, layout.read(digest_of(channel.manifest), MAX_BYTES))
    return channel
