"""What a signed channel says: which release it holds, and which ones were withdrawn.

A channel is a delegated role of the repository, with keys of its own. Its targets are the files of
the release, `manifest.json` and `history.jsonl`, all as "CHANNEL/NAME". The `custom` part of the
history is {"release": VERSION or null, "withdrawn": {VERSION: WHY}}; it may have "waves", too
(`common.releases.waves`). `sequence`, the version of the role's metadata, only grows: a signed
roll-back is a higher sequence that names an earlier release.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from common.releases.layout import check_version
from common.releases.manifest import NAME, Manifest, ReleaseFile, demand_fit, parse_manifest
from common.releases.waves import Waves, parse_waves
from common.tuf.client import Fetch, Found, find_role
from common.tuf.errors import MalformedError, MismatchError
from common.tuf.metadata import FileInfo
from common.tuf.trust import Trusted

HISTORY = "history.jsonl"
HISTORY_MAX_BYTES = 8 << 20  # what a node reads of it: some 20,000 changes


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, verified. `files` are those of its release; none if `release` is empty.

    All of it is valid until `expires` (Unix time); `trusted` is what the next update begins with.
    """

    name: str
    sequence: int
    release: str
    withdrawn: Mapping[str, str]
    manifest: FileInfo | None
    files: Mapping[str, ReleaseFile]
    history: FileInfo
    expires: int
    trusted: Trusted
    waves: Waves | None = None


def read_channel(trusted: Trusted, name: str, fetch: Fetch, now: float | None) -> Channel:
    """Fetch and verify the channel `name`. Raises `MetadataError`."""
    return interpret(name, find_role(trusted, name, fetch, now))


def interpret(name: str, found: Found) -> Channel:
    """Return the channel that the files of its role describe."""
    rows = {path.removeprefix(f"{name}/"): info for path, info in found.targets.items()}
    history, manifest = rows.pop(HISTORY, None), rows.pop(NAME, None)
    if history is None or history.custom is None:
        raise MalformedError(f"the channel {name} has no {HISTORY}")
    release, withdrawn = history.custom.get("release"), history.custom.get("withdrawn", {})
    if not isinstance(withdrawn, dict) or not isinstance(release, str | None):
        raise MalformedError(f"the channel {name} does not say which release it holds")
    if bool(release) != (manifest is not None) or bool(release) != bool(rows):
        raise MalformedError(f"the channel {name} has files, but not those of one release")
    version = check_version(release) if release else ""
    if version in withdrawn:
        raise MismatchError(f"the channel {name} holds {version}, which was withdrawn")
    files = {path: ReleaseFile(info.length or 0, digest_of(info)) for path, info in rows.items()}
    return Channel(
        name,
        found.sequence,
        version,
        withdrawn,
        manifest,
        files,
        history,
        found.expires,
        found.trusted,
        parse_waves(history.custom.get("waves")),
    )


def digest_of(info: FileInfo) -> str:
    """Return the SHA-256 of a target, which always has one."""
    return (info.hashes or {})["sha256"]


def open_history(channel: Channel, data: bytes) -> frozenset[str]:
    """Return every release that the channel has held, if `data` is its history.

    Its keys have signed the digest of the whole. Raises `ZosError`.
    """
    channel.history.check(HISTORY, data)
    try:
        releases = {str(json.loads(line)["release"]) for line in data.splitlines()}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError(f"cannot read the history of {channel.name}") from error
    return frozenset(releases - {""})


def open_manifest(channel: Channel, data: bytes) -> Manifest:
    """Return the manifest of the channel's release, if `data` is that and the channel may hold it.

    Raises `ZosError`.
    """
    if channel.manifest is None:
        raise MismatchError(f"the channel {channel.name} holds no release")
    channel.manifest.check(NAME, data)
    manifest = parse_manifest(data)
    if (manifest.version, dict(manifest.files)) != (channel.release, dict(channel.files)):
        raise MismatchError(f"{NAME} and the channel {channel.name} name different files")
    demand_fit(manifest, channel.name)
    return manifest
