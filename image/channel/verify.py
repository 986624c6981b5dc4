"""Checks a release or a whole store offline, with public keys only, and lists what was checked.

A check that fails does not end the others, as far as they don't need what it would have shown.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from common.errors import ZosError
from common.releases.channel import Channel, digest_of, interpret, open_manifest
from common.releases.layout import Layout, is_whole
from common.releases.manifest import MAX_BYTES, NAME, Manifest, ReleaseFile, parse_manifest
from common.tuf.client import METADATA_MAX_BYTES, demand, read_role, update_roots
from common.tuf.errors import ExpiredError, MetadataError
from common.tuf.trust import Session, Trusted
from image.channel.history import MAX_BYTES as HISTORY_MAX_BYTES
from image.channel.history import parse_history
from image.channel.roles import CHANNELS
from image.errors import ImageError
from image.files import read_file
from image.release.store import list_releases

if TYPE_CHECKING:
    from common.tuf.metadata import FileInfo

T = TypeVar("T")
SBOM = "sbom.spdx.json"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked; `detail` says what was found, or what is wrong."""

    subject: str
    what: str
    is_good: bool
    detail: str


@dataclass
class Report:
    """The checks so far."""

    checks: list[Check] = field(default_factory=list)

    def add(self, subject: str, what: str, check: Callable[[], T]) -> T | None:
        """Do one check; what it returns is the detail if it is a text. None if it fails."""
        try:
            found = check()
        except (ZosError, OSError) as error:
            self.checks.append(Check(subject, what, False, str(error)))
            return None
        self.checks.append(Check(subject, what, True, found if isinstance(found, str) else ""))
        return found

    @property
    def is_good(self) -> bool:
        """Return whether every check was good."""
        return all(check.is_good for check in self.checks)


def check_sbom(path: Path) -> str:
    """Check that a file is an SPDX 2.3 document; return what it lists."""
    try:
        value = json.loads(read_file(path, 64 << 20))
        version, packages = value["spdxVersion"], value["packages"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImageError(f"{SBOM} is no SPDX document: {error!r:.80}") from error
    if version != "SPDX-2.3" or not isinstance(packages, list):
        raise ImageError(f"{SBOM} is of version {version!r:.20}, not SPDX-2.3")
    return f"{len(packages)} packages"


# What is checked of a file beyond its digest, by the file's name: a title and a function of its
# path that returns a detail or raises `ZosError`.
Inspectors = Mapping[str, tuple[str, Callable[[Path], str]]]
INSPECTORS: Inspectors = {SBOM: ("SPDX 2.3", check_sbom)}


def signature_inspector(certificate: Path) -> Inspectors:
    """Return the check that zos.efi is signed by the key of the certificate in a file."""
    from common.efi.authenticode import verify_image
    from common.efi.pe import MAX_BYTES as EFI_MAX_BYTES
    from common.efi.sources import read_certificate
    from image.release.unified import NAME as UKI

    trusted = read_certificate(certificate)

    def check(path: Path) -> str:
        verify_image(read_file(path, EFI_MAX_BYTES), trusted)
        return f"signed by {trusted.subject.rfc4514_string()}"

    return {UKI: ("Secure Boot signature", check)}


def verify_folder(folder: Path, inspectors: Inspectors = INSPECTORS) -> Report:
    """Check the release in a folder against its own manifest; nothing says whose it is."""
    report = Report()
    manifest = report.add(
        NAME, "is a manifest", lambda: parse_manifest(read_file(folder / NAME, MAX_BYTES))
    )
    if manifest is not None:
        check_files(report, "", manifest, lambda name: folder / name, inspectors)
    return report


def check_files(
    report: Report,
    prefix: str,
    manifest: Manifest,
    place: Callable[[str], Path],
    inspectors: Inspectors,
) -> None:
    """Check the files of a release."""
    for name, file in manifest.files.items():
        path = place(name)
        found = report.add(prefix + name, "size and SHA-256", partial(check_file, path, file))
        if found is not None and name in inspectors:
            title, inspect = inspectors[name]
            report.add(prefix + name, title, partial(inspect, path))


def check_file(path: Path, file: ReleaseFile) -> str:
    """Check one file of a release."""
    if not is_whole(path, file.sha256, file.size):
        raise ImageError("it is not the file that the manifest names, or not there")
    return f"{file.size} bytes, {file.sha256[:16]}"


def verify_store(
    layout: Layout, root: bytes, now: float, inspectors: Inspectors = INSPECTORS
) -> Report:
    """Check everything in a store from the trusted `root` on."""
    report = Report()
    session = report.add("root", "signed by its own keys", lambda: Session(Trusted(root), None))
    if session is not None and check_top(report, layout, session, now):
        for name in CHANNELS:
            check_channel(report, layout, session, name, now)
    check_releases(report, layout, inspectors)
    return report


def check_releases(report: Report, layout: Layout, inspectors: Inspectors) -> None:
    """Check all releases in a store against their manifests."""
    releases = report.add("releases", "are manifests", lambda: list_releases(layout)) or {}
    for version, manifest in releases.items():

        def place(name: str, files: Mapping[str, ReleaseFile] = manifest.files) -> Path:
            return layout.blob(files[name].sha256)

        check_files(report, f"{version}/", manifest, place, inspectors)


def check_top(report: Report, layout: Layout, session: Session, now: float) -> bool:
    """Check the four top-level roles; return whether all are signed, though maybe expired."""
    stamps: list[FileInfo] = []

    def roots() -> None:
        update_roots(session, layout.fetch)

    def timestamp() -> None:
        stamps.append(session.update_timestamp(fetch(layout, "timestamp.json")))

    def snapshot() -> None:
        data = fetch(layout, f"{stamps[0].version}.snapshot.json")
        session.update_snapshot(data, stamps[0])

    def targets() -> None:
        version = session.info_of("targets.json").version
        session.update_targets(fetch(layout, f"{version}.targets.json"))

    steps = {"root": roots, "timestamp": timestamp, "snapshot": snapshot, "targets": targets}
    return all(check_role(report, session, name, step, now) for name, step in steps.items())


def check_role(
    report: Report, session: Session, name: str, update: Callable[[], object], now: float
) -> bool:
    """Check one step of an update, then the expiry; return whether the step was good."""

    def check() -> str:
        update()
        return session.verified

    if report.add(name, "signatures, version and digest", check) is None:
        return False
    expires = session.root.expires if name == "root" else session.expires[-1]
    fresh(report, name, expires, now)
    return True


def fresh(report: Report, subject: str, expires: int, now: float) -> None:
    """Check that metadata has not expired."""
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))

    def check() -> str:
        if now >= expires:
            raise ExpiredError(f"it was valid until {text}")
        return f"until {text}"

    report.add(subject, "still valid", check)


def check_channel(report: Report, layout: Layout, session: Session, name: str, now: float) -> None:
    """Check a channel: its own signatures, its history, its manifest."""
    found: list[Channel] = []

    def read() -> None:
        found.append(interpret(name, read_role(session, name, layout.fetch)))

    if not check_role(report, session, name, read, now):
        return
    channel = found[0]
    report.add(name, "history", lambda: check_history(layout, channel))
    if (info := channel.manifest) is not None:
        report.add(
            name,
            "manifest, and fit for this channel",
            lambda: open_manifest(channel, layout.read(digest_of(info), MAX_BYTES)).version,
        )


def check_history(layout: Layout, channel: Channel) -> str:
    """Check the chain of a channel's history, and that it ends with what the channel holds."""
    data = layout.read(digest_of(channel.history), HISTORY_MAX_BYTES)
    channel.history.check("its history", data)
    entries = parse_history(data, channel.name)
    release = entries[-1].release if entries else ""
    if release != channel.release or (entries and entries[-1].sequence > channel.sequence):
        raise ImageError(f"the history of {channel.name} ends with another release")
    return f"{len(entries)} entries, holds {release or 'nothing'}, sequence {channel.sequence}"


def fetch(layout: Layout, name: str) -> bytes:
    """Return a file of metadata."""
    data = demand(layout.fetch, name, METADATA_MAX_BYTES)
    if not data:
        raise MetadataError(f"{name} is empty")
    return data
