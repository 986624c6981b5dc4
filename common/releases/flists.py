"""The set of flists that a release names: which ones its nodes run from.

    "flists": [{"role": "core", "name": "tf-zos/production-core", "sha256": HEX, "size": BYTES}]

A manifest names one of each role at most. Hubs have them by name; a node takes a file from any hub
if it has this digest, so the channel's signatures are theirs, too. The version of such a release is
that of what it boots, and ".set" with the first 8 digits of the set's digest: a change of the set
alone is another release.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from common.releases.layout import StoreError, boot_version

CORE, FIRMWARE, WORKLOAD = "core", "firmware", "workload"
ROLES = (CORE, FIRMWARE, WORKLOAD)
MAX_BYTES = 1 << 30
VERSION_CHARS = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}/[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ReleaseFlist:
    """A flist of a release; `name` is the hub's, without a suffix."""

    role: str
    name: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        """Raise `StoreError` for what can't be in a set."""
        if self.role not in ROLES:
            raise StoreError(f"{self.role!r:.80} is not the role of a flist: {', '.join(ROLES)}")
        if not _NAME.fullmatch(self.name) or ".." in self.name:
            raise StoreError(
                f"{self.name!r:.150} is not the name of a flist",
                hint="REPOSITORY/NAME, as hubs have it, without .fl",
            )
        if not _DIGEST.fullmatch(self.sha256):
            raise StoreError(f"the flist {self.name} has no SHA-256")
        if type(self.size) is not int or not 0 < self.size <= MAX_BYTES:
            raise StoreError(f"the flist {self.name} has no size that a flist can have")

    def to_json(self) -> dict[str, str | int]:
        """Return it as a row of a manifest."""
        return asdict(self)


def parse_flists(rows: object, version: str) -> tuple[ReleaseFlist, ...]:
    """Return the set of a manifest of this version, by role. Raises `StoreError`."""
    if not isinstance(rows, list):
        raise StoreError("the flists of a release are a list")
    flists = tuple(sorted((_parse(row) for row in rows), key=_role_of))
    if set_version(boot_version(version), flists) != version:
        raise StoreError(f"{version} is not the version of a release with these flists")
    return flists


def set_version(boot: str, flists: Iterable[ReleaseFlist]) -> str:
    """Return the version of a release that boots `boot`, with a set."""
    rows = [flist.to_json() for flist in sorted(flists, key=_role_of)]
    roles = [row["role"] for row in rows]
    if len(set(roles)) < len(roles):
        raise StoreError("a release has one flist of each role at most")
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{boot}.set{digest[:VERSION_CHARS]}" if rows else boot


def _role_of(flist: ReleaseFlist) -> str:
    return flist.role


def _parse(row: object) -> ReleaseFlist:
    if not isinstance(row, Mapping):
        raise StoreError("a flist of a release is an object")
    role, name, sha256, size = (row.get(word) for word in ("role", "name", "sha256", "size"))
    if not (isinstance(role, str) and isinstance(name, str) and isinstance(sha256, str)):
        raise StoreError("a flist of a release has a role, a name and a SHA-256")
    return ReleaseFlist(role, name, sha256, size if type(size) is int else 0)
