"""The manifest of a release, as its readers use it, and which channels may hold the release."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import ZosError
from common.releases.flists import ReleaseFlist, parse_flists
from common.releases.layout import StoreError, check_version
from common.runmodes import RUN_MODES

NAME = "manifest.json"
MAX_BYTES = 4 << 20
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
PARAMETERS_MAX_BYTES = 256  # the rest of the command line is the farm's
_PARAMETER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:,=/@+-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class UnfitError(ZosError):
    """A channel can't take this release."""


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A file of a release."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A release. `debug` and `locked` are None, `identity` (the digest of its inputs) and `kernel`
    (as uname has it) are empty where the manifest does not say.

    `parameters` are words that every kernel command line of the release has, `flists` what its
    nodes run from.
    """

    version: str
    debug: bool | None
    locked: bool | None
    files: Mapping[str, ReleaseFile]
    identity: str = ""
    kernel: str = ""
    parameters: tuple[str, ...] = ()
    flists: tuple[ReleaseFlist, ...] = ()


def parse_manifest(data: bytes) -> Manifest:
    """Parse a manifest. Raises `StoreError`."""
    try:
        value = json.loads(data.decode())
        files = {name: parse_file(name, row) for name, row in value["files"].items()}
        version = check_version(value["version"])
        if not files:
            raise StoreError("cannot use the manifest: it names no files")
        debug, locked = parse_flag(value, "debug"), parse_flag(value, "locked")
        identity, kernel = (parse_text(value, name) for name in ("identity", "kernel"))
        parameters = parse_parameters(value.get("parameters", []))
        flists = parse_flists(value.get("flists", []), version)
        return Manifest(version, debug, locked, files, identity, kernel, parameters, flists)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"cannot use the manifest: {error!r:.100}") from error


def parse_file(name: str, row: Mapping[str, object]) -> ReleaseFile:
    """Return one file of a manifest."""
    size, sha256 = row["size"], row["sha256"]
    if not _FILE.fullmatch(name) or name == NAME:
        raise StoreError(f"cannot use the manifest: {name[:80]!r} can't be a file of a release")
    if type(size) is not int or size < 0:
        raise StoreError(f"cannot use the manifest: {name} has no size")
    if not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256):
        raise StoreError(f"cannot use the manifest: {name} has no SHA-256")
    return ReleaseFile(size, sha256)


def parse_flag(value: Mapping[str, object], name: str) -> bool | None:
    """Return a flag of a manifest."""
    flag = value.get(name)
    if flag is not None and not isinstance(flag, bool):
        raise StoreError(f"cannot use the manifest: {name} is neither true nor false")
    return flag


def parse_text(value: Mapping[str, object], name: str) -> str:
    """Return a text of a manifest, "" if it is missing."""
    text = value.get(name, "")
    if not isinstance(text, str):
        raise StoreError(f"cannot use the manifest: {name} is not a text")
    return text


def parse_parameters(words: object) -> tuple[str, ...]:
    """Return the kernel parameters of a manifest."""
    if not isinstance(words, list) or not all(
        isinstance(word, str) and _PARAMETER.fullmatch(word) for word in words
    ):
        raise StoreError("cannot use the manifest: its parameters are no kernel parameters")
    if len(" ".join(words)) > PARAMETERS_MAX_BYTES:
        raise StoreError(
            f"cannot use the manifest: its parameters have more than {PARAMETERS_MAX_BYTES} bytes"
        )
    return tuple(words)


def demand_fit(manifest: Manifest, channel: str) -> None:
    """Raise `UnfitError` unless `channel` may hold the release; other than production all may."""
    if not RUN_MODES[channel].is_production:
        return
    refusal = f"cannot publish {manifest.version} to {channel}, a production channel"
    if manifest.debug is None or manifest.locked is None:
        lacking = "debug" if manifest.debug is None else "locked"
        raise UnfitError(
            f"{refusal}: its manifest does not say `{lacking}`", hint="build the release anew"
        )
    if manifest.debug:
        raise UnfitError(
            f"{refusal}: it is a debug release",
            hint="it lets others than its owner into a farmer's machine; build it without debug",
        )
    if not manifest.locked:
        raise UnfitError(
            f"{refusal}: its inputs are not locked",
            hint="nobody could build the same release again and compare; build it from a lock file",
        )
