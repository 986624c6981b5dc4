"""Makes a release with a set of flists out of one that says only what nodes boot.

The files are the same, by hard links where the file system has them; a store keeps them once.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import open_atomic, open_regular, write_atomic
from common.releases.flists import CORE, ReleaseFlist, set_version
from common.releases.layout import boot_version, is_whole
from common.releases.manifest import MAX_BYTES, NAME, Manifest, parse_manifest
from image.errors import ImageError
from image.files import read_file

FLIST_MAGIC = b"SQLite format 3\0"
CORE_FILE = "core.json"  # image/core/manifest.py


@dataclass(frozen=True, slots=True)
class Member:
    """A flist that is to be in the set: its role, its name on hubs, its file."""

    role: str
    name: str
    file: Path


def make_set(release: Path, members: Sequence[Member], output: Path) -> Manifest:
    """Write into `output` the release in the folder `release`, with these flists; return it.

    If that one has a set, this one takes its place. Raises `ZosError`.
    """
    if release.resolve() == output.resolve():
        raise ImageError(
            f"cannot write to {output}: it is the release itself", hint="--output another folder"
        )
    data = read_file(release / NAME, MAX_BYTES)
    manifest = parse_manifest(data)
    flists = sorted((describe_flist(one) for one in members), key=lambda one: one.role)
    value: dict[str, Any] = json.loads(data)
    value["version"] = set_version(boot_version(manifest.version), flists)
    value["flists"] = [flist.to_json() for flist in flists]
    for member in members:
        if member.role == CORE:
            value |= judge_core(member.file.parent, value)
    text = json.dumps(value, indent=2).encode() + b"\n"
    found = parse_manifest(text)
    copy_files(release, manifest, output)
    write_atomic(output / NAME, text)
    return found


def describe_flist(member: Member) -> ReleaseFlist:
    """Return what a manifest says of a flist."""
    try:
        with open_regular(member.file) as stream:
            is_flist = stream.read(len(FLIST_MAGIC)) == FLIST_MAGIC
            stream.seek(0)
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        raise ImageError(f"cannot read {member.file}: {error.strerror}") from error
    if not is_flist:
        raise ImageError(
            f"cannot use {member.file}: it is not a flist",
            hint="`zos flist pack` makes a .fl of a folder or of an archive",
        )
    return ReleaseFlist(member.role, member.name, sha256, size)


def judge_core(folder: Path, value: dict[str, Any]) -> dict[str, bool]:
    """Return what a release is with the zos-core that core.json in `folder` describes.

    It is one for debugging, or not locked, if either is; a production channel refuses it then.
    """
    try:
        core = json.loads(read_file(folder / CORE_FILE, MAX_BYTES))
        debug, locked = core["debug"], core["locked"]
    except ImageError as error:
        raise ImageError(
            f"{error.message}: nothing says whether this zos-core is for debugging",
            hint="keep the flist in the folder that `zos image core` made",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImageError(f"cannot use {folder / CORE_FILE}: it does not describe a core") from error
    return {
        "debug": debug is not False or value.get("debug") is not False,
        "locked": locked is True and value.get("locked") is True,
    }


def copy_files(release: Path, manifest: Manifest, output: Path) -> None:
    """Put the files of a release, which must be whole, into `output`; it has no manifest then."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / NAME).unlink(missing_ok=True)
        for name, file in manifest.files.items():
            if not is_whole(release / name, file.sha256, file.size):
                raise ImageError(
                    f"cannot use {release / name}: it is not the file that {NAME} names"
                )
            if not is_whole(output / name, file.sha256, file.size):
                link_file(release / name, output / name)
    except OSError as error:
        raise ImageError(f"cannot write to {output}: {error.strerror}") from error


def link_file(source: Path, target: Path) -> None:
    """Make a file appear at `target`, as a hard link where the file system has them."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        with open_regular(source) as stream, open_atomic(target) as copy:
            shutil.copyfileobj(stream, copy)


def parse_members(words: Iterable[tuple[str, str]]) -> list[Member]:
    """Return the members that (role, "NAME=FILE") name."""
    found = []
    for role, word in words:
        name, equals, file = word.partition("=")
        if not (name and equals and file):
            raise ImageError(f"--{role} {word!r} is not NAME=FILE.fl")
        found.append(Member(role, name.removesuffix(".fl"), Path(file)))
    return found
