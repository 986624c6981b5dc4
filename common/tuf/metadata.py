"""One metadata file of a role, parsed: https://theupdateframework.github.io/specification/latest/.

Parsing trusts nothing and verifies nothing; `trust` does.
"""

import hashlib
import json
from calendar import timegm
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import strftime, strptime
from typing import Any, TypeVar

from common.tuf.canonical import encode_canonical
from common.tuf.errors import MalformedError, MismatchError
from common.tuf.keys import Key, Role, parse_keys, parse_role

ROOT, TIMESTAMP, SNAPSHOT, TARGETS = "root", "timestamp", "snapshot", "targets"
TOP_ROLES = frozenset((ROOT, TIMESTAMP, SNAPSHOT, TARGETS))
SPEC_VERSION = "1"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
HASHES = ("sha256", "sha512")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Metadata:
    """A file of metadata. `payload` is what the signatures cover; `expires` is in Unix time."""

    kind: str
    version: int
    expires: int
    value: Mapping[str, Any]
    payload: bytes
    signatures: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What signed metadata says of another file; a metadata file may lack all but the version."""

    version: int = 1
    length: int | None = None
    hashes: Mapping[str, str] | None = None
    custom: Mapping[str, Any] | None = None

    def check(self, what: str, data: bytes) -> None:
        """Raise `MismatchError` unless `data` has this length and these digests."""
        if self.length is not None and len(data) != self.length:
            raise MismatchError(f"{what} has {len(data)} bytes, and {self.length} are signed")
        for name, digest in (self.hashes or {}).items():
            if name not in HASHES or hashlib.new(name, data).hexdigest() != digest:
                raise MismatchError(f"{what} is not the file whose {name} is signed")


def parse_metadata(data: bytes, kind: str) -> Metadata:
    """Parse a file of metadata. Raises `MalformedError`."""
    try:
        value = json.loads(data.decode())
        signed = value["signed"]
        if signed["_type"] != kind:
            raise MalformedError(f"expected {kind} metadata, got {signed['_type']!r:.40}")
        return Metadata(
            kind,
            parse_version(signed["version"]),
            parse_header(signed),
            signed,
            encode_canonical(signed),
            parse_signatures(value["signatures"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedError(f"cannot parse {kind} metadata: {error!r:.100}") from error


def parse_version(value: object) -> int:
    """Return a version, which is a number from 1 on."""
    if type(value) is not int or value < 1:
        raise MalformedError(f"cannot use metadata: its version is {value!r:.40}")
    return value


def parse_header(signed: Mapping[str, Any]) -> int:
    """Check the version of the specification; return the time of expiry."""
    numbers = signed["spec_version"].split(".")
    if len(numbers) not in (2, 3) or not all(n.isdigit() for n in numbers):
        raise MalformedError("cannot use metadata: it names no version of the specification")
    if numbers[0] != SPEC_VERSION:
        raise MalformedError(f"cannot use metadata of version {numbers[0]!r:.20} of TUF")
    expires = strptime(signed["expires"], TIME_FORMAT)
    if strftime(TIME_FORMAT, expires) != signed["expires"]:
        raise MalformedError(f"cannot use metadata: it expires at {signed['expires']!r:.40}")
    return timegm(expires)


def parse_signatures(rows: list[Mapping[str, str]]) -> dict[str, bytes]:
    """Return the signatures by key id; one that is not hexadecimal counts for nothing."""
    found: dict[str, bytes] = {}
    for row in rows:
        keyid, text = row["keyid"], row["sig"]
        if keyid in found:
            raise MalformedError("cannot use metadata: a key has signed it twice")
        try:
            found[keyid] = bytes.fromhex(text)
        except ValueError:
            found[keyid] = b""
    return found


def read_roles(root: Metadata) -> dict[str, Role]:
    """Return the top-level roles of root metadata."""
    return _parsed(_read_roles, root)


def _read_roles(root: Metadata) -> dict[str, Role]:
    keys = parse_keys(root.value["keys"])
    rows = root.value["roles"]
    if set(rows) != TOP_ROLES:
        raise MalformedError("cannot use root metadata: it has other roles than the four")
    return {name: parse_role(row, keys) for name, row in rows.items()}


def read_snapshot_info(timestamp: Metadata) -> FileInfo:
    """Return what timestamp metadata says of the snapshot."""
    return _parsed(lambda it: parse_info(it.value["meta"]["snapshot.json"]), timestamp)


def read_infos(snapshot: Metadata) -> dict[str, FileInfo]:
    """Return what snapshot metadata says of the others, by file name."""
    return _parsed(
        lambda it: {name: parse_info(row) for name, row in it.value["meta"].items()}, snapshot
    )


def read_delegations(targets: Metadata) -> dict[str, Role]:
    """Return the roles to which targets metadata delegates, by name."""
    return _parsed(_read_delegations, targets)


def _read_delegations(targets: Metadata) -> dict[str, Role]:
    if "delegations" not in targets.value:
        return {}
    delegations = targets.value["delegations"]
    keys: Mapping[str, Key] = parse_keys(delegations["keys"])
    found: dict[str, Role] = {}
    for row in delegations["roles"]:
        name = row["name"]
        if not name or name in TOP_ROLES or name in found:
            raise MalformedError("cannot use targets metadata: a delegation has no name of its own")
        if row["paths"] != [f"{name}/*"] or row["terminating"] is not True:
            raise MalformedError(f"cannot use targets metadata: {name!r:.40} has other paths")
        found[name] = parse_role(row, keys)
    return found


def read_targets(targets: Metadata) -> dict[str, FileInfo]:
    """Return what targets metadata says of its files; each has a length and a digest."""
    return _parsed(_read_targets, targets)


def _read_targets(targets: Metadata) -> dict[str, FileInfo]:
    found = {}
    for name, row in targets.value["targets"].items():
        info = parse_info({**row, "version": 1})
        if info.length is None or not info.hashes or "sha256" not in info.hashes:
            raise MalformedError(f"cannot use targets metadata: {name!r:.80} has no digest")
        found[name] = info
    return found


def parse_info(row: Mapping[str, Any]) -> FileInfo:
    """Return what one row says of a file."""
    length, hashes, custom = row.get("length"), row.get("hashes"), row.get("custom")
    if "length" in row and (type(length) is not int or length < 0):
        raise MalformedError("cannot use metadata: the length of a file is no length")
    if "hashes" in row and (
        not hashes or not all(isinstance(text, str) for text in hashes.values())
    ):
        raise MalformedError("cannot use metadata: a file has no digest")
    if custom is not None and not isinstance(custom, dict):
        raise MalformedError("cannot use metadata: the custom part of a file is no object")
    return FileInfo(parse_version(row["version"]), length, hashes, custom)


def _parsed(read: Callable[[Metadata], T], metadata: Metadata) -> T:
    """Return what `read` finds; a value of an unexpected type is a `MalformedError`."""
    try:
        return read(metadata)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedError(f"cannot parse {metadata.kind} metadata: {error!r:.100}") from error
