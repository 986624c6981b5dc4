"""The client's workflow (section 5 of the specification): what is trusted, and what it replaces.

`Trusted` is what a client keeps from one update to the next: its root and the highest versions that
it has seen. A `Session` is one update; the files are given to it in order, each is verified before
anything of it is used, and `Session.trusted` is what to keep afterwards.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from common.tuf.errors import ExpiredError, MalformedError, MismatchError, RollbackError
from common.tuf.keys import Role
from common.tuf.metadata import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIME_FORMAT,
    TIMESTAMP,
    FileInfo,
    Metadata,
    parse_metadata,
    read_delegations,
    read_infos,
    read_roles,
    read_snapshot_info,
    read_targets,
)


@dataclass(frozen=True, slots=True)
class Trusted:
    """A root that is trusted, and the versions seen under it, by file name ("prod.json")."""

    root: bytes
    versions: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return this as text."""
        value = {"root": self.root.decode(), "versions": dict(self.versions)}
        return json.dumps(value).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> "Trusted":
        """Return what `to_json` made. Raises `MalformedError`."""
        try:
            value = json.loads(data)
            versions = {str(name): int(number) for name, number in value["versions"].items()}
            return cls(value["root"].encode(), versions)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise MalformedError(f"cannot use the state of an update: {error!r:.100}") from error


class Session:
    """One update. `now` is Unix time; None checks no expiry, which is for publishers only."""

    def __init__(self, trusted: Trusted, now: float | None) -> None:
        self.now = now
        self.versions = dict(trusted.versions)
        self.expires: list[int] = []
        self.root_data = trusted.root
        self.root = parse_metadata(trusted.root, ROOT)
        self.roles = read_roles(self.root)
        self.verified = self._signed(self.root, self.roles[ROOT], "the trusted root")
        self.infos: Mapping[str, FileInfo] = {}
        self.delegations: Mapping[str, Role] = {}

    @property
    def trusted(self) -> Trusted:
        """Return what to keep after this update."""
        return Trusted(self.root_data, dict(self.versions))

    def update_root(self, data: bytes) -> None:
        """Take over the next root, which both the keys of this root and its own must have signed.

        An expired one can lead to the next; the last one is checked by `update_timestamp`.
        """
        new = parse_metadata(data, ROOT)
        roles = read_roles(new)
        if new.version != self.root.version + 1:
            raise RollbackError(f"root {self.root.version} can't be followed by root {new.version}")
        for role in (self.roles[ROOT], roles[ROOT]):
            self.verified = self._signed(new, role, f"root {new.version}")
        if any(roles[name] != self.roles[name] for name in (TIMESTAMP, SNAPSHOT)):
            # The old keys may have signed absurdly high versions: 5.3.11 of the specification.
            self.versions.clear()
        self.root, self.root_data, self.roles = new, data, roles

    def update_timestamp(self, data: bytes) -> FileInfo:
        """Take over timestamp metadata; return what it says of the snapshot."""
        self._demand_fresh(self.root, "the root")
        new = self._verify(data, TIMESTAMP, self.roles[TIMESTAMP])
        info = read_snapshot_info(new)
        self._demand_newer("timestamp.json", new.version)
        self._demand_newer("snapshot.json", info.version)
        self._demand_fresh(new, "timestamp.json")
        self.versions["timestamp.json"] = new.version
        return info

    def update_snapshot(self, data: bytes, info: FileInfo) -> None:
        """Take over the snapshot metadata that the timestamp names."""
        info.check("snapshot.json", data)
        new = self._verify(data, SNAPSHOT, self.roles[SNAPSHOT])
        infos = read_infos(new)
        if new.version != info.version:
            raise MismatchError(
                f"snapshot.json is version {new.version}, and version {info.version} is signed"
            )
        for name in self.versions.keys() - {"timestamp.json", "snapshot.json"}:
            if name not in infos:
                raise RollbackError(f"the snapshot no longer has {name}")
            self._demand_newer(name, infos[name].version)
        self._demand_fresh(new, "snapshot.json")
        self.versions["snapshot.json"] = new.version
        self.versions |= {name: row.version for name, row in infos.items()}
        self.infos = infos

    def update_targets(self, data: bytes) -> Mapping[str, FileInfo]:
        """Take over the top-level targets metadata; return its files."""
        new = self._update_listed(data, TARGETS, self.roles[TARGETS])
        self.delegations = read_delegations(new)
        return read_targets(new)

    def update_delegated(self, data: bytes, name: str) -> Metadata:
        """Return the metadata of the delegated role `name` if its own keys have signed it."""
        if name not in self.delegations:
            raise MismatchError(f"the targets delegate nothing to {name!r:.40}")
        return self._update_listed(data, name, self.delegations[name])

    def info_of(self, name: str) -> FileInfo:
        """Return what the snapshot says of a file of metadata."""
        if name not in self.infos:
            raise MismatchError(f"the snapshot has no {name!r:.80}")
        return self.infos[name]

    def _update_listed(self, data: bytes, name: str, role: Role) -> Metadata:
        info = self.info_of(f"{name}.json")
        info.check(f"{name}.json", data)
        new = self._verify(data, TARGETS, role, f"{name}.json")
        if new.version != info.version:
            raise MismatchError(
                f"{name}.json is version {new.version}, and version {info.version} is signed"
            )
        read_targets(new)
        self._demand_fresh(new, f"{name}.json")
        return new

    def _verify(self, data: bytes, kind: str, role: Role, what: str = "") -> Metadata:
        new = parse_metadata(data, kind)
        self.verified = self._signed(new, role, what or f"{kind}.json")
        return new

    def _signed(self, new: Metadata, role: Role, what: str) -> str:
        """Demand the signatures of a role; return how the metadata is signed, for people."""
        return f"version {new.version}, {role.demand(what, new.signatures, new.payload)}"

    def _demand_newer(self, name: str, version: int) -> None:
        seen = self.versions.get(name, 0)
        if version < seen:
            raise RollbackError(f"{name} is version {version}, and {seen} was seen before")

    def _demand_fresh(self, metadata: Metadata, what: str) -> None:
        if self.now is not None and self.now >= metadata.expires:
            at, clock = (
                time.strftime(TIME_FORMAT, time.gmtime(when))
                for when in (metadata.expires, self.now)
            )
            raise ExpiredError(
                f"{what} has expired: it was valid until {at}, and it is {clock}",
                hint="somebody holds back newer metadata, its maintainer has not renewed it, or "
                "this clock is wrong",
            )
        self.expires.append(metadata.expires)
