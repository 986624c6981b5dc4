"""Walks a repository: from a trusted root to the files of one delegated role."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.tuf.errors import MismatchError
from common.tuf.metadata import FileInfo, read_targets
from common.tuf.trust import Session, Trusted

# Returns a file of metadata by its name, at most so many bytes; None if there is none.
Fetch = Callable[[str, int], bytes | None]

ROOTS_MAX = 256  # new roots in one update
ROOT_MAX_BYTES = 512_000
TIMESTAMP_MAX_BYTES = 16_384
METADATA_MAX_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a delegated role, and until when (Unix time) all that led to them is valid.

    `sequence` is the version of the role's metadata, which only grows.
    """

    sequence: int
    targets: Mapping[str, FileInfo]
    expires: int
    trusted: Trusted


def find_role(trusted: Trusted, name: str, fetch: Fetch, now: float | None) -> Found:
    """Return the files of the delegated role `name`. Raises `MetadataError`."""
    return read_role(open_session(trusted, fetch, now), name, fetch)


def read_role(session: Session, name: str, fetch: Fetch) -> Found:
    """Return the files of the delegated role `name`, after `open_session`."""
    info = session.info_of(f"{name}.json")
    data = demand(fetch, f"{info.version}.{name}.json", info.length or METADATA_MAX_BYTES)
    metadata = session.update_delegated(data, name)
    targets = read_targets(metadata)
    if strange := [path for path in targets if not is_delegated(path, name)]:
        raise MismatchError(f"{name}.json names {strange[0]!r:.80}, which is not delegated to it")
    return Found(metadata.version, targets, min(session.expires), session.trusted)


def open_session(trusted: Trusted, fetch: Fetch, now: float | None) -> Session:
    """Update the top-level roles: root by root to the newest, timestamp, snapshot, targets."""
    session = Session(trusted, now)
    update_roots(session, fetch)
    snapshot = session.update_timestamp(demand(fetch, "timestamp.json", TIMESTAMP_MAX_BYTES))
    limit = snapshot.length or METADATA_MAX_BYTES
    data = demand(fetch, f"{snapshot.version}.snapshot.json", limit)
    session.update_snapshot(data, snapshot)
    targets = session.info_of("targets.json")
    limit = targets.length or METADATA_MAX_BYTES
    session.update_targets(demand(fetch, f"{targets.version}.targets.json", limit))
    return session


def update_roots(session: Session, fetch: Fetch) -> None:
    """Follow the chain of roots to its end."""
    for _ in range(ROOTS_MAX):
        data = fetch(f"{session.root.version + 1}.root.json", ROOT_MAX_BYTES)
        if data is None:
            return
        session.update_root(data)


def is_delegated(path: str, name: str) -> bool:
    """Return whether a file belongs to the role `name`: "prod/vmlinuz" to "prod"."""
    folder, slash, rest = path.partition("/")
    return folder == name and slash == "/" and rest != "" and "/" not in rest


def demand(fetch: Fetch, name: str, limit: int) -> bytes:
    """Return a file of metadata that must be there."""
    data = fetch(name, limit)
    if data is None:
        raise MismatchError(f"{name} is not there")
    if len(data) > limit:
        raise MismatchError(f"{name} is larger than {limit} bytes")
    return data
