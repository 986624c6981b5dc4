"""What a maintainer does to channels, as changes that are not signed yet. Nothing is written here
but the new histories, which nothing refers to before the change is committed.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tuf.api.metadata import Metadata, TargetFile, Targets

from common.releases.channel import HISTORY
from common.releases.layout import boot_version
from common.releases.manifest import NAME, demand_fit
from common.releases.waves import Waves
from common.text import printable
from common.tuf.metadata import ROOT, TARGETS
from image.channel.history import Entry, append
from image.channel.repository import Change, Repository, renew
from image.channel.roles import TOP
from image.errors import ImageError
from image.release.store import demand_release, put, read_release

WHY_MAX_CHARS = 1000
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Reason:
    """Who changes a channel, when (Unix time), and why."""

    by: str
    now: float
    why: str = ""

    def __post_init__(self) -> None:
        """Refuse what would not fit one line of a history."""
        for text in (self.by, self.why):
            if len(text) > WHY_MAX_CHARS or text != printable(text):
                raise ImageError(
                    "cannot keep this text in the history",
                    hint=f"one line of at most {WHY_MAX_CHARS} characters",
                )


def publish(
    repository: Repository,
    channel: str,
    version: str,
    reason: Reason,
    waves: Waves | None = None,
) -> Change:
    """Return the change that puts a release of the store on a channel for the first time."""
    demand_new(repository, channel, version)
    return change_one(repository, channel, "publish", version, reason, waves=waves)


def promote(
    repository: Repository,
    source: str,
    channel: str,
    reason: Reason,
    waves: Waves | None = None,
) -> Change:
    """Return the change that puts the release of `source` on another channel."""
    version = repository.channels[source].release
    if not version:
        raise ImageError(f"cannot promote {source}: it holds no release")
    demand_new(repository, channel, version)
    return change_one(repository, channel, "promote", version, reason, source, waves)


def rollback(repository: Repository, channel: str, version: str | None, reason: Reason) -> Change:
    """Return the change back to `version`, or to what the channel held before."""
    current = repository.channels[channel]
    earlier = earlier_releases(repository, channel, current.withdrawn)
    if version is None and not earlier:
        raise ImageError(f"cannot roll {channel} back: it held no other release before this one")
    wanted = earlier[0] if version is None else version
    choices = usable_releases(repository, channel, current.withdrawn)
    if wanted not in choices:
        raise ImageError(
            f"cannot roll {channel} back to {wanted}: {why_not(repository, channel, wanted)}",
            hint=f"it can hold again: {', '.join(choices) or 'none'}",
        )
    return change_one(repository, channel, "rollback", wanted, reason)


def withdraw(
    repository: Repository, version: str, channels: Iterable[str], reason: Reason
) -> Change:
    """Return the change that withdraws a release from all of `channels` that have held it.

    A channel that holds it goes back to the release before, or to none.
    """
    targets = {}
    for channel in channels:
        current = repository.channels[channel]
        if version in current.withdrawn or version not in held(repository, channel):
            continue
        withdrawn = {**current.withdrawn, version: reason.why}
        earlier = [*earlier_releases(repository, channel, withdrawn), ""]
        release = earlier[0] if current.release == version else current.release
        entry = make_entry(repository, channel, "withdraw", release, version, reason)
        waves = current.waves if release == current.release else None
        targets[channel] = point(repository, channel, withdrawn, entry, reason.now, waves)
    if not targets:
        raise ImageError(f"cannot withdraw {version}: no channel has held it, or it is withdrawn")
    return Change(f"withdraw {version} from {', '.join(targets)}", None, targets)


def refresh(
    repository: Repository, roles: Sequence[str], now: float, *, is_forced: bool = False
) -> Change:
    """Return the change that signs snapshot, timestamp and `roles` again.

    With `is_forced`, they may become valid for a shorter time.
    """
    root = renew(repository.root, ROOT, now, is_forced=is_forced) if ROOT in roles else None
    offline = [role for role in roles if role == TARGETS or role not in TOP]
    targets = {
        role: renew(repository.role(role), role, now, is_forced=is_forced) for role in offline
    }
    return Change(f"renew {', '.join(roles) or 'the timestamp'}", root, targets, is_forced)


def demand_new(repository: Repository, channel: str, version: str) -> None:
    """Raise `ImageError` if the channel holds or held this release, or if it was withdrawn."""
    for name, other in repository.channels.items():
        for gone in {version, boot_version(version)} & other.withdrawn.keys():
            what = "it" if gone == version else f"{gone}, which it boots,"
            why = other.withdrawn[gone]
            raise ImageError(f"cannot publish {version}: {what} was withdrawn from {name}: {why}")
    if repository.channels[channel].release == version:
        raise ImageError(f"{channel} holds {version} already")
    if version in held(repository, channel):
        raise ImageError(
            f"cannot publish {version} to {channel}: it held it before, so it is older",
            hint=f"zos image rollback {channel} {version}",
        )


def held(repository: Repository, channel: str) -> list[str]:
    """Return the releases that the channel has held, in the order in which they were new."""
    entries = repository.entries(channel)
    return list(dict.fromkeys(entry.release for entry in entries if entry.release))


def usable_releases(
    repository: Repository, channel: str, withdrawn: Mapping[str, str]
) -> list[str]:
    """Return what the channel has held and can hold again, other than now; the newest first."""
    current = repository.channels[channel].release
    return [
        version
        for version in reversed(held(repository, channel))
        if version != current
        and version not in withdrawn
        and repository.layout.release(version).exists()
    ]


def earlier_releases(
    repository: Repository, channel: str, withdrawn: Mapping[str, str]
) -> list[str]:
    """Return those of `usable_releases` that are older than what the channel holds."""
    order = held(repository, channel)
    current = repository.channels[channel].release
    before = order[: order.index(current)] if current else order
    return [v for v in usable_releases(repository, channel, withdrawn) if v in before]


def why_not(repository: Repository, channel: str, version: str) -> str:
    """Return why a channel can't go back to a release."""
    current = repository.channels[channel]
    if version == current.release:
        return "it holds it"
    if version in current.withdrawn:
        return f"it was withdrawn: {current.withdrawn[version]}"
    if version in held(repository, channel):
        return "the store no longer has it"
    return "it never held it"


def change_one(
    repository: Repository,
    channel: str,
    action: str,
    version: str,
    reason: Reason,
    source: str = "",
    waves: Waves | None = None,
) -> Change:
    """Return the change that makes one channel hold a release."""
    entry = make_entry(repository, channel, action, version, version, reason, source)
    entry = replace(entry, waves=str(waves) if waves else "")
    withdrawn = repository.channels[channel].withdrawn
    targets = point(repository, channel, withdrawn, entry, reason.now, waves)
    return Change(f"{action} {version} on {channel}", None, {channel: targets})


def make_entry(
    repository: Repository,
    channel: str,
    action: str,
    release: str,
    subject: str,
    reason: Reason,
    source: str = "",
) -> Entry:
    """Return the entry of a change for the history."""
    return Entry(
        sequence=repository.channels[channel].sequence + 1,
        at=f"{datetime.fromtimestamp(reason.now, UTC):{TIME_FORMAT}}",
        by=reason.by,
        action=action,
        release=release,
        subject=subject,
        why=reason.why,
        source=source,
    )


def point(
    repository: Repository,
    channel: str,
    withdrawn: Mapping[str, str],
    entry: Entry,
    now: float,
    waves: Waves | None,
) -> Metadata[Targets]:
    """Return a channel's next metadata: it holds the entry's release (or "", nothing)."""
    release = entry.release
    data = append(repository.history(channel), entry)
    put(repository.layout, data)
    history = TargetFile.from_data(f"{channel}/{HISTORY}", data)
    custom: dict[str, object] = {"release": release or None, "withdrawn": dict(withdrawn)}
    if waves is not None:
        custom["waves"] = waves.to_json()
    history.unrecognized_fields["custom"] = custom
    files = [history, *release_targets(repository, channel, release)] if release else [history]
    new = renew(repository.role(channel), channel, now)
    new.signed.targets = {file.path: file for file in files}
    return new


def release_targets(repository: Repository, channel: str, release: str) -> list[TargetFile]:
    """Return the targets of a release that is whole and that the channel may hold."""
    demand_release(repository.layout, release)
    manifest, data = read_release(repository.layout, release)
    demand_fit(manifest, channel)
    rows = {name: (file.size, file.sha256) for name, file in manifest.files.items()}
    rows[NAME] = (len(data), hashlib.sha256(data).hexdigest())
    return [
        TargetFile(size, {"sha256": sha256}, f"{channel}/{name}")
        for name, (size, sha256) in rows.items()
    ]
