"""A change that waits for the signatures of others, in one file of the store.

Who holds a key signs what `describe_change` reads out of the metadata itself, not what the first
signer says that it is.
"""

import json
from collections.abc import Iterator
from typing import Any

from tuf.api.metadata import Metadata, Root, Targets

from common.files import write_atomic
from common.releases.channel import HISTORY
from common.releases.layout import Layout
from common.tuf.metadata import TARGETS
from image.channel.commit import KeysMissingError, commit
from image.channel.repository import Change, Repository
from image.channel.roles import CHANNELS, TOP
from image.channel.signers import Keyring
from image.errors import ImageError
from image.files import read_file

STAGED = "staged.json"
MAX_BYTES = 16 << 20


def stage(layout: Layout, change: Change) -> None:
    """Keep a change with the signatures that it has."""
    value = {
        "what": change.what,
        "files": {role: json.loads(metadata.to_bytes()) for role, metadata in change.files()},
    }
    write_atomic(layout.top / STAGED, json.dumps(value).encode())


def load_staged(layout: Layout) -> Change | None:
    """Return the change that waits, or None."""
    place = layout.top / STAGED
    if not place.exists():
        return None
    try:
        value = json.loads(read_file(place, MAX_BYTES))
        files: dict[str, Any] = {role: json.dumps(row) for role, row in value["files"].items()}
        root = files.pop("root", None)
        return Change(
            str(value["what"]),
            Metadata[Root].from_bytes(root.encode()) if root else None,
            {role: Metadata[Targets].from_bytes(text.encode()) for role, text in files.items()},
        )
    except Exception as error:  # python-tuf's errors have no common ancestor
        raise ImageError(
            f"cannot read the change that waits in {place}: {error!r:.100}",
            hint="`zos image approve --drop` removes it",
        ) from error


def drop_staged(layout: Layout) -> None:
    """Forget the change that waits."""
    (layout.top / STAGED).unlink(missing_ok=True)


def commit_or_stage(repository: Repository, change: Change, keyring: Keyring, now: float) -> None:
    """Publish a change; if keys are missing, keep it for others and raise `KeysMissingError`."""
    waiting = load_staged(repository.layout)
    if waiting is not None and is_current(repository, waiting):
        raise ImageError(
            f"cannot {change.what}: another change waits for signatures: {waiting.what}",
            hint="`zos image approve` signs it, `zos image approve --drop` forgets it",
        )
    try:
        commit(repository, change, keyring, now)
    except KeysMissingError as error:
        if any(metadata.signatures for _, metadata in change.files()):
            stage(repository.layout, change)
            error.add_note("the change is kept: `zos image approve` signs and publishes it")
        raise
    drop_staged(repository.layout)


def sign_staged(repository: Repository, keyring: Keyring, now: float) -> Change:
    """Add signatures to the change that waits; publish it if they suffice."""
    change = load_staged(repository.layout)
    if change is None:
        raise ImageError("no change waits for signatures")
    if not is_current(repository, change):
        raise ImageError(
            f"cannot sign: {change.what}: the channel has changed since",
            hint="`zos image approve --drop` removes it; make the change again",
        )
    try:
        commit(repository, change, keyring, now)
    except KeysMissingError:
        stage(repository.layout, change)
        raise
    drop_staged(repository.layout)
    return change


def is_current(repository: Repository, change: Change) -> bool:
    """Return whether each part of a change follows what is published."""
    roots = change.root is None or follows(change.root, repository.root)
    return roots and all(
        role in (*CHANNELS, TARGETS) and follows(metadata, repository.role(role))
        for role, metadata in change.targets.items()
    )


def follows(new: Metadata[Any], old: Metadata[Any]) -> bool:
    """Return whether `new` is the next version of `old`."""
    return bool(new.signed.version == old.signed.version + 1)


def describe_change(repository: Repository, change: Change) -> Iterator[str]:
    """Yield what a change does, one line for each part."""
    for role, metadata in change.targets.items():
        if role == TARGETS:
            before, after = repository.targets.signed, metadata.signed
            yield from (describe_keys(before, after, name) for name in CHANNELS)
        else:
            yield describe_channel(repository, role, metadata.signed)
    if change.root is not None:
        yield f"root {change.root.signed.version}"
        for name in TOP:
            yield describe_keys(repository.root.signed, change.root.signed, name)


def describe_channel(repository: Repository, channel: str, new: Targets) -> str:
    """Return what a channel would hold, and what it would withdraw."""
    old = repository.channels[channel]
    history = new.targets.get(f"{channel}/{HISTORY}")
    custom = (history.custom if history else None) or {}
    gone = [name for name in custom.get("withdrawn", {}) if name not in old.withdrawn]
    text = f"{channel}: {old.release or 'nothing'} -> {custom.get('release') or 'nothing'}"
    return f"{text}; withdraws {', '.join(map(str, gone))}" if gone else text


def describe_keys(before: Root | Targets, after: Root | Targets, role: str) -> str:
    """Return how the keys of a role change."""
    old, new = before.get_delegated_role(role), after.get_delegated_role(role)
    added = [f"+{keyid[:12]}" for keyid in new.keyids if keyid not in old.keyids]
    removed = [f"-{keyid[:12]}" for keyid in old.keyids if keyid not in new.keyids]
    keys = " ".join((*added, *removed)) or "the same keys"
    return f"keys of {role}: {keys}, {new.threshold} of {len(new.keyids)} must sign"
