"""Changes the repository by one rename.

All metadata but `timestamp.json` is in files that are named by their versions and never change, so
replacing `timestamp.json` is the whole of a change: a process that is killed at any point leaves
the old state or the new one. What is about to be written is verified first, as a client would.

New keys need two steps. First the old root's clients get metadata that both old and new keys have
signed, then the new root appears; so each state between is valid, too.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, Root, Targets

from common.errors import ZosError
from common.files import write_atomic
from common.releases.channel import digest_of, interpret, open_manifest
from common.releases.manifest import MAX_BYTES
from common.tuf.client import open_session, read_role
from common.tuf.errors import SignatureError
from common.tuf.metadata import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from common.tuf.trust import Trusted
from image.channel.repository import Change, Repository, renew
from image.channel.roles import CHANNELS
from image.channel.signers import Keyring, add_signature


class KeysMissingError(ZosError):
    """Too few keys are there to sign a change; what they could sign is signed in it."""


def commit(repository: Repository, change: Change, keyring: Keyring, now: float) -> None:
    """Sign and publish a change, whole or not at all.

    Raises `KeysMissingError` before anything is written if too few keys are there.
    """
    for role, metadata in change.files():
        sign(repository, change, role, metadata, keyring)
    for role, metadata in change.files():
        demand_signed(repository, change, role, metadata)
    files = {name_of(role, metadata): metadata.to_bytes() for role, metadata in change.files()}
    if needs_seal(repository, change):
        files |= seal(repository, change, keyring, now)
    write(repository, files, is_bridged=verify(repository, change, files, now))


def name_of(role: str, metadata: Metadata[Any]) -> str:
    """Return the file name of this version."""
    return f"{metadata.signed.version}.{role}.json"


def before_and_after(repository: Repository, change: Change, role: str) -> list[Root | Targets]:
    """Return who names the keys of `role`: before the change, and after it."""
    if role in CHANNELS:
        return [repository.targets.signed, change.targets.get(TARGETS, repository.targets).signed]
    return [repository.root.signed, (change.root or repository.root).signed]


def sign(
    repository: Repository, change: Change, role: str, metadata: Metadata[Any], keyring: Keyring
) -> None:
    """Add the signatures of the role's keys that are at hand."""
    for delegator in before_and_after(repository, change, role):
        for keyid in delegator.get_delegated_role(role).keyids:
            if keyid in keyring and keyid not in metadata.signatures:
                add_signature(metadata, keyring[keyid])


def demand_signed(
    repository: Repository, change: Change, role: str, metadata: Metadata[Any]
) -> None:
    """Raise `KeysMissingError` unless enough keys have signed; a root needs the old ones, too."""
    delegators = before_and_after(repository, change, role)
    for delegator in delegators if role == ROOT else delegators[1:]:
        result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
        if not result:
            others = ", ".join(keyid[:12] for keyid in result.unsigned)
            raise KeysMissingError(
                f"{change.what}: {len(result.signed)} of {result.threshold} signatures of {role}",
                hint=f"also needed: {result.missing} of the keys {others}",
            )


def needs_seal(repository: Repository, change: Change) -> bool:
    """Return whether snapshot and timestamp are signed anew: not if only offline keys change."""
    if change.root is None or change.targets:
        return True
    old, new = repository.root.signed.roles, change.root.signed.roles
    return any(old[role] != new[role] for role in (SNAPSHOT, TIMESTAMP))


def seal(repository: Repository, change: Change, keyring: Keyring, now: float) -> dict[str, bytes]:
    """Return new snapshot and timestamp metadata that name the changed files."""
    snapshot = renew(repository.snapshot, SNAPSHOT, now, is_forced=change.is_forced)
    for role, metadata in change.targets.items():
        snapshot.signed.meta[f"{role}.json"] = describe(metadata)
    timestamp = renew(repository.timestamp, TIMESTAMP, now, is_forced=change.is_forced)
    sign(repository, change, SNAPSHOT, snapshot, keyring)
    timestamp.signed.snapshot_meta = describe(snapshot)
    sign(repository, change, TIMESTAMP, timestamp, keyring)
    demand_signed(repository, change, SNAPSHOT, snapshot)
    demand_signed(repository, change, TIMESTAMP, timestamp)
    return {
        name_of(SNAPSHOT, snapshot): snapshot.to_bytes(),
        "timestamp.json": timestamp.to_bytes(),
    }


def describe(metadata: Metadata[Any]) -> MetaFile:
    """Return what other metadata says of this file."""
    data = metadata.to_bytes()
    return MetaFile(
        metadata.signed.version, len(data), {"sha256": hashlib.sha256(data).hexdigest()}
    )


def verify(repository: Repository, change: Change, files: Mapping[str, bytes], now: float) -> bool:
    """Verify the state after the change as a client would. Raises `MetadataError`.

    Returns whether the files without the new root are valid, too, for clients of the old root.
    """
    newest = repository.root if change.root is None else change.root
    verify_from(repository, change, newest.to_bytes(), files, now)
    if change.root is None:
        return True
    try:
        verify_from(repository, change, repository.roots[-1], files, None)
    except SignatureError:
        return False
    return True


def verify_from(
    repository: Repository,
    change: Change,
    root: bytes,
    files: Mapping[str, bytes],
    now: float | None,
) -> None:
    """Verify all metadata from the newest root on, and that what clients of it need is fresh.

    Another channel may have expired, and offline keys can change while all has.
    """

    def fetch(name: str, limit: int) -> bytes | None:
        if name.endswith(".root.json"):
            return None
        return files.get(name) or repository.layout.fetch(name, limit)

    session = open_session(Trusted(root), fetch, now if "timestamp.json" in files else None)
    for name in CHANNELS:
        session.now = now if name in change.targets else None
        channel = interpret(name, read_role(session, name, fetch))
        if name in change.targets and channel.manifest is not None:
            data = repository.layout.read(digest_of(channel.manifest), MAX_BYTES)
            open_manifest(channel, data)


def write(repository: Repository, files: Mapping[str, bytes], *, is_bridged: bool) -> None:
    """Write the files of a change; each but the last one of the order changes nothing by itself.

    If the old online keys are lost, nothing is valid between the root with the new keys and the
    timestamp. The root comes first then: a process that is killed there can be run again.
    """
    roots = [name for name in files if name.endswith(".root.json")]
    ends = [name for name in files if name == "timestamp.json"]
    others = [name for name in files if name not in (*roots, *ends)]
    order = (*others, *ends, *roots) if is_bridged else (*roots, *others, *ends)
    for name in order:
        write_atomic(repository.layout.metadata(name), files[name])
