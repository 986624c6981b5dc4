"""The first keys of a repository, and their rotation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from common.files import write_atomic
from common.releases.channel import HISTORY
from common.releases.layout import Layout
from common.tuf.metadata import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from image.channel.commit import describe, name_of
from image.channel.repository import Change, Repository, is_initialised, renew
from image.channel.roles import CHANNELS, ROLES, THRESHOLDS, TOP, lifetime_s
from image.channel.signers import add_signature, load_file, make_key
from image.errors import ImageError
from image.release.store import put

RoleKeys = Mapping[str, Sequence[Signer]]


@dataclass(frozen=True, slots=True)
class Holder:
    """A key of a role, as `zos image keys list` shows it."""

    role: str
    keyid: str
    scheme: str
    threshold: int
    expires: str


def make_keys(folder: Path, *, is_encrypted: bool) -> dict[str, list[Signer]]:
    """Make the keys of all roles in `folder`, but those that are there, and return them."""
    return {
        role: [make_or_load(folder / name, is_encrypted=is_encrypted) for name in key_names(role)]
        for role in ROLES
    }


def key_names(role: str) -> list[str]:
    """Return the names of a role's first key files."""
    count = THRESHOLDS.get(role, 1)
    return (
        [f"{role}-{number}.pem" for number in range(1, count + 1)] if count > 1 else [f"{role}.pem"]
    )


def make_or_load(path: Path, *, is_encrypted: bool) -> Signer:
    """Return the key in `path` (or in the token that `.uri` beside it names), or a new one."""
    for place in (path, path.with_suffix(".uri")):
        if place.exists():
            return load_file(place)
    return make_key(path, is_encrypted=is_encrypted)


def initialise(layout: Layout, keys: RoleKeys, now: float) -> bytes:
    """Make the repository of a store, with empty channels, and return its root.

    `timestamp.json` is written last; until then, this can be run again.
    """
    demand_new(layout)
    root = first_root(keys, now)
    roles: dict[str, Metadata[Any]] = {name: first_channel(layout, name, now) for name in CHANNELS}
    roles[TARGETS] = first_targets(keys, now)
    for name, metadata in roles.items():
        sign_all(metadata, keys[name])
    snapshot = Metadata(Snapshot(expires=expiry(SNAPSHOT, now)))
    snapshot.signed.meta = {f"{name}.json": describe(it) for name, it in roles.items()}
    sign_all(snapshot, keys[SNAPSHOT])
    timestamp = Metadata(
        Timestamp(expires=expiry(TIMESTAMP, now), snapshot_meta=describe(snapshot))
    )
    sign_all(timestamp, keys[TIMESTAMP])
    for name, metadata in (*roles.items(), (SNAPSHOT, snapshot), (ROOT, root)):
        write_atomic(layout.metadata(name_of(name, metadata)), metadata.to_bytes())
    write_atomic(layout.metadata("timestamp.json"), timestamp.to_bytes())
    return root.to_bytes()


def demand_new(layout: Layout) -> None:
    """Raise `ImageError` if the store has channels."""
    if is_initialised(layout):
        raise ImageError(
            f"{layout} has its channels already", hint="`zos image keys rotate` changes keys"
        )


def first_root(keys: RoleKeys, now: float) -> Metadata[Root]:
    """Return the first root, signed."""
    root = Root(expires=expiry(ROOT, now), consistent_snapshot=True)
    for role in TOP:
        for signer in keys[role]:
            root.add_key(signer.public_key, role)
        root.roles[role].threshold = THRESHOLDS.get(role, 1)
    return sign_all(Metadata(root), keys[ROOT])


def first_targets(keys: RoleKeys, now: float) -> Metadata[Targets]:
    """Return the delegations to the channels, not signed."""
    roles = {
        name: DelegatedRole(name, [], THRESHOLDS.get(name, 1), True, [f"{name}/*"])
        for name in CHANNELS
    }
    targets = Targets(expires=expiry(TARGETS, now), delegations=Delegations({}, roles))
    for role in CHANNELS:
        for signer in keys[role]:
            targets.add_key(signer.public_key, role)
    return Metadata(targets)


def first_channel(layout: Layout, name: str, now: float) -> Metadata[Targets]:
    """Return a channel without a release, not signed."""
    put(layout, b"")
    path = f"{name}/{HISTORY}"
    history = TargetFile.from_data(path, b"")
    history.unrecognized_fields["custom"] = {"release": None, "withdrawn": {}}
    return Metadata(Targets(expires=expiry(name, now), targets={path: history}))


def sign_all(metadata: Metadata[Any], signers: Iterable[Signer]) -> Metadata[Any]:
    """Sign with all `signers`."""
    for signer in signers:
        add_signature(metadata, signer)
    return metadata


def expiry(role: str, now: float) -> datetime:
    """Return until when a signature of `role` at `now` is valid."""
    return datetime.fromtimestamp(now + lifetime_s(role), UTC)


def list_keys(repository: Repository) -> list[Holder]:
    """Return every key of every role."""
    holders = []
    for role in ROLES:
        delegator: Root | Targets = (
            repository.root.signed if role in TOP else repository.targets.signed
        )
        found = delegator.get_delegated_role(role)
        expires = f"{metadata_of(repository, role).signed.expires:%Y-%m-%dT%H:%M:%SZ}"
        for keyid in found.keyids:
            scheme = delegator.get_key(keyid).scheme
            holders.append(Holder(role, keyid, scheme, found.threshold, expires))
    return holders


def metadata_of(repository: Repository, role: str) -> Metadata[Any]:
    """Return the newest metadata of any role."""
    online: dict[str, Metadata[Any]] = {
        ROOT: repository.root,
        SNAPSHOT: repository.snapshot,
        TIMESTAMP: repository.timestamp,
    }
    return online[role] if role in online else repository.role(role)


def rotate(
    repository: Repository,
    role: str,
    now: float,
    *,
    add: Sequence[Key] = (),
    remove: Sequence[str] = (),
    threshold: int | None = None,
) -> Change:
    """Return the change of a role's keys. `remove` are key ids, or their beginnings."""
    what = f"rotate the keys of {role}"
    if role in TOP:
        root = renew(repository.root, ROOT, now)
        change_keys(root.signed, role, add, remove, threshold)
        targets = {TARGETS: renew(repository.targets, TARGETS, now)} if role == TARGETS else {}
        return Change(what, root, targets)
    targets = {TARGETS: renew(repository.targets, TARGETS, now)}
    change_keys(targets[TARGETS].signed, role, add, remove, threshold)
    targets[role] = renew(repository.role(role), role, now)
    return Change(what, None, targets)


def change_keys(
    delegator: Root | Targets,
    role: str,
    add: Sequence[Key],
    remove: Sequence[str],
    threshold: int | None,
) -> None:
    """Change the keys of a role in the metadata that names them."""
    found = delegator.get_delegated_role(role)
    for key in add:
        delegator.add_key(key, role)
    for prefix in remove:
        delegator.revoke_key(find_key(found.keyids, prefix, role), role)
    found.threshold = threshold or found.threshold
    if len(found.keyids) < found.threshold:
        raise ImageError(
            f"cannot change the keys of {role}: {len(found.keyids)} would be left, and "
            f"{found.threshold} must sign",
            hint="--add another key, or lower --threshold",
        )


def find_key(keyids: Sequence[str], prefix: str, role: str) -> str:
    """Return the key id that begins with `prefix`."""
    matches = [keyid for keyid in keyids if prefix and keyid.startswith(prefix)]
    if len(matches) != 1:
        raise ImageError(
            f"cannot remove the key {prefix!r} of {role}: "
            f"{'more than one key begins so' if matches else 'it has no such key'}",
            hint="`zos image keys list` shows them",
        )
    return matches[0]
