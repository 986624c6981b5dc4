"""What differs between two locks, and what Debian's changelogs say about the security of it."""

import gzip
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.debian.lock import DebianLock, LockedPackage
from common.debian.unpack import open_files
from common.run import run
from image.lock.model import ReleaseLock

COMPARE_DEADLINE_S = 30
CHANGELOG = re.compile(r"(\./)?usr/share/doc/[^/]+/changelog(\.Debian)?(\.[a-z0-9]+)?\.gz")
CHANGELOG_MAX_BYTES = 32 << 20
ENTRY = re.compile(r"[a-z0-9][a-z0-9+.-]* \(([^() ]+)\) [^;]*;.*\burgency=(\w+)", re.IGNORECASE)
NOTICE = re.compile(r"\b(?:CVE-\d{4}-\d{4,}|(?:DSA|DLA)[- ]\d+(?:-\d+)?)\b")
URGENT = ("high", "emergency", "critical")


@dataclass(frozen=True, slots=True)
class Change:
    """A package in two locks; `old` or `new` is empty if it is not in that one."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What an entry of a changelog says about security."""

    source: str
    version: str
    urgency: str
    ids: tuple[str, ...]


def list_changes(old: ReleaseLock, new: ReleaseLock) -> list[Change]:
    """Return every package and wheel whose version differs, packages first."""
    changes = compare_versions(package_versions(old), package_versions(new))
    before = {f"wheel {wheel.name}": wheel.version for wheel in old.wheels}
    after = {f"wheel {wheel.name}": wheel.version for wheel in new.wheels}
    return [*changes, *compare_versions(before, after)]


def package_versions(lock: ReleaseLock) -> dict[str, str]:
    """Return the versions of all packages; those that only the build runs have another name."""
    tools = versions(lock.tools.packages) if lock.tools else {}
    return versions(lock.debian.packages) | {f"tool {name}": tools[name] for name in tools}


def versions(packages: Iterable[LockedPackage]) -> dict[str, str]:
    """Return the version of each package by its name."""
    return {package.name: package.version for package in packages}


def compare_versions(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    """Yield what differs, sorted by name."""
    for name in sorted({*old, *new}):
        change = Change(name, old.get(name, ""), new.get(name, ""))
        if change.old != change.new:
            yield change


def changed_sources(old: DebianLock, new: DebianLock) -> dict[str, tuple[str, list[LockedPackage]]]:
    """Return the source packages in both locks that have changed: the old version of one of their
    packages, and the new packages."""
    before: dict[str, str] = {}
    for package in old.packages:
        before.setdefault(package.source, package.version)
    known = set(versions(old.packages).items())
    found: dict[str, tuple[str, list[LockedPackage]]] = {}
    for package in new.packages:
        if package.source in before and (package.name, package.version) not in known:
            found.setdefault(package.source, (before[package.source], []))[1].append(package)
    return found


def read_notices(source: str, old: str, debs: Iterable[Path]) -> list[Notice]:
    """Return the notices since the version `old`, from the first changelog in `debs`."""
    for deb in debs:
        text = read_changelog(deb)
        if text:
            return list(parse_notices(source, text, is_newer_than(old)))
    return []


def is_newer_than(old: str) -> Callable[[str], bool]:
    """Return a function that tells whether a version is newer than `old`, as dpkg sees it."""

    def is_newer(version: str) -> bool:
        call = ["dpkg", "--compare-versions", version, "gt", old]
        call = ["sh", "-c", 'if "$@"; then echo yes; fi', "sh", *call]
        return run(call, timeout_s=COMPARE_DEADLINE_S) != b""

    return is_newer


def parse_notices(source: str, text: str, is_newer: Callable[[str], bool]) -> Iterator[Notice]:
    """Yield the urgent entries of a changelog, and those that name a notice, newest first."""
    version = urgency = ""
    ids: dict[str, None] = {}
    for line in [*text.splitlines(), "end (0) end; urgency=low"]:
        entry = ENTRY.match(line)
        if entry is None:
            ids |= dict.fromkeys(NOTICE.findall(line))
            continue
        if version and (ids or urgency in URGENT):
            yield Notice(source, version, urgency, tuple(ids))
        version, urgency, ids = entry[1], entry[2].lower(), {}
        if not is_newer(version):
            return


def read_changelog(deb: Path) -> str:
    """Return Debian's changelog in a package; "" if it is in another package of its source."""
    with open(deb, "rb") as stream, open_files(stream) as files:
        for member in files:
            if member.isreg() and CHANGELOG.fullmatch(member.name):
                return unpack_changelog(files, member)
    return ""


def unpack_changelog(files: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """Return the text of a compressed changelog."""
    stream = files.extractfile(member)
    assert stream is not None
    with stream, gzip.open(stream) as plain:
        return plain.read(CHANGELOG_MAX_BYTES).decode(errors="replace")
