"""What publishers write into the server's store. Nothing can be seen before it is verified.

A file goes in by its SHA-256. Metadata waits in `incoming/WORK` until a timestamp comes: if
that makes a state that the trusted root vouches for, newer than the one before and with all of its
files there, the metadata that belongs to it is moved into place, the timestamp last. The server has
no key, so it can refuse a change but not make one.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from bootstrap_server.channels.changes import (
    STAMP,
    Change,
    State,
    demand_appended,
    demand_files,
    read_change,
    read_state,
)
from bootstrap_server.errors import ChangedError, NotThereError, RefusedError
from common.errors import ZosError
from common.files import open_atomic, write_atomic
from common.locks import hold_lock
from common.releases.layout import Layout, StoreError
from common.releases.manifest import UnfitError
from common.runmodes import RUN_MODES
from common.tuf.errors import MetadataError
from common.tuf.metadata import ROOT, SNAPSHOT, TARGETS, parse_metadata
from serving.content import FileOpener, OpenFile

STAGED = "staged.json"
AUDIT = "audit.jsonl"
ROLES = (ROOT, SNAPSHOT, TARGETS, *RUN_MODES)
LOCK_S = 30.0
WAITING_MAX = 300  # files of metadata for one timestamp
WORKS_MAX = 1000
ABANDONED_S = 86_400.0
AUDIT_MODE = 0o640


class HashingFile:
    """A file that is written once, and the digest of what was written."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.state = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of `data`."""
        self.state.update(data)
        return self.stream.write(data)


class Publishing:
    """A store that publishers write to; `root` is the metadata that is trusted.

    All of it may block. Processes and threads that share the store take turns.
    """

    def __init__(
        self, store: Path, root: bytes, opener: FileOpener, clock: Callable[[], float] = time.time
    ) -> None:
        self.layout = Layout(store)
        self.root = root
        self.opener = opener
        self.clock = clock

    def open_file(self, sha256: str) -> OpenFile:
        """Open a file by its digest. Raises `NotThereError`, also for one that is damaged."""
        self.check_digest(sha256)
        absent = NotThereError("the store has no such file")
        try:
            file = self.opener.open(self.layout.blob(sha256))
        except FileNotFoundError:
            raise absent from None
        if file.etag != f'"{sha256}"':
            file.close()
            raise absent
        return file

    def check_digest(self, sha256: str) -> None:
        """Raise `NotThereError` unless it can be a file's address."""
        try:
            self.layout.blob(sha256)
        except StoreError as error:
            raise NotThereError(error.message) from error

    @contextlib.contextmanager
    def receive(self, sha256: str) -> Iterator[HashingFile]:
        """Open a file that becomes the store's `sha256` when the block ends, if it is that."""
        place = self.layout.blob(sha256)
        waiting = self._folder("files") / f"{sha256}.{secrets.token_hex(8)}"
        place.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(waiting) as stream:
            file = HashingFile(stream)
            yield file
            if (found := file.state.hexdigest()) != sha256:
                raise RefusedError(
                    f"the file that was sent has the SHA-256 {found}",
                    hint="it was cut off or altered on its way; send it again",
                )
        waiting.replace(place)

    def keep_metadata(self, work: str, name: str, data: bytes) -> None:
        """Keep a numbered file of metadata until the timestamp of this work comes."""
        check_metadata(self.layout, name, data)
        folder = self._folder(work)
        if len(list(folder.iterdir())) >= WAITING_MAX:
            raise RefusedError("too many files of metadata wait for their timestamp")
        write_atomic(folder / name, data)

    def commit(self, work: str, who: Mapping[str, str], data: bytes, wanted: str) -> Change:
        """Replace the timestamp, whose ETag must be `wanted` ("" for none), by `data`.

        `work` is where its metadata waits, and `who` is for the audit log.
        """
        with self._hold("publishing"):
            folder = self._folder(work)
            self._demand_unchanged(STAMP, self.layout.fetch(STAMP, 1 << 16), wanted)
            waiting = {path.name: path.read_bytes() for path in folder.glob("*.json")}
            with explained():
                before = read_state(self.root, self.layout)
                change = read_change(self.root, self.layout, before, waiting, data, self.clock())
                demand_files(self.layout, self.opener, change)
                demand_appended(self.layout, before, change)
            self._note(who, change, before)
            self._write(change, data)
            shutil.rmtree(folder, ignore_errors=True)
            self._forget_abandoned()
        return change

    def read_staged(self) -> bytes:
        """Return the change that waits for signatures. Raises `NotThereError`."""
        try:
            return (self.layout.top / STAGED).read_bytes()
        except FileNotFoundError as error:
            raise NotThereError("no change waits for signatures") from error

    def write_staged(self, data: bytes | None, wanted: str) -> None:
        """Replace the change that waits for signatures, or with None remove it.

        Nothing is believed of it: who signs it reads what it does, and `commit` verifies it.
        """
        if data is not None:
            check_object(data)
        place = self.layout.top / STAGED
        with self._hold("staging"):
            current = place.read_bytes() if place.exists() else None
            self._demand_unchanged(STAGED, current, wanted)
            if data is None:
                place.unlink(missing_ok=True)
            else:
                write_atomic(place, data)

    def read_release(self, version: str) -> bytes:
        """Return the manifest of a release. Raises `NotThereError`."""
        try:
            return self.layout.release(version).read_bytes()
        except (FileNotFoundError, StoreError) as error:
            raise NotThereError("the store has no such release") from error

    def _folder(self, name: str) -> Path:
        incoming = self.layout.top / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        folder = incoming / name
        if not folder.exists() and len(list(incoming.iterdir())) >= WORKS_MAX:
            self._forget_abandoned()
            if len(list(incoming.iterdir())) >= WORKS_MAX:
                raise RefusedError("too many changes wait for their timestamps")
        folder.mkdir(exist_ok=True)
        return folder

    @contextlib.contextmanager
    def _hold(self, work: str) -> Iterator[None]:
        """Be the only one who changes the store, also of the commands of this machine."""
        with hold_lock(self.layout.top / ".lock", work, LOCK_S, lambda _: None):
            yield

    def _demand_unchanged(self, name: str, data: bytes | None, wanted: str) -> None:
        if etag_of(data) != wanted:
            raise ChangedError(
                f"{name} has changed since you read it",
                hint="somebody else has published; read it again and repeat your change",
            )

    def _write(self, change: Change, stamp: bytes) -> None:
        """Write a verified change: each file but the last one changes nothing by itself."""
        (self.layout.top / "metadata").mkdir(parents=True, exist_ok=True)
        (self.layout.top / "releases").mkdir(parents=True, exist_ok=True)
        for version, data in change.releases.items():
            write_atomic(self.layout.release(version), data)
        files = {**change.files, STAMP: stamp}
        for name in sorted(files, key=change.order):
            write_atomic(self.layout.metadata(name), files[name])

    def _note(self, who: Mapping[str, str], change: Change, before: State | None) -> None:
        """Append to the audit log what is about to happen."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock()))
        row = {"at": at, **who, **change.describe(before)}
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        handle = os.open(self.layout.top / AUDIT, flags, AUDIT_MODE)
        with open(handle, "wb") as stream:
            stream.write(json.dumps(row).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _forget_abandoned(self) -> None:
        """Remove what publishers sent a day ago and did not finish."""
        oldest = time.time() - ABANDONED_S
        for folder in (self.layout.top / "incoming").iterdir():
            for path in folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < oldest:
                        path.unlink()
            with contextlib.suppress(OSError):  # something is in it
                if folder.stat().st_mtime < oldest:
                    folder.rmdir()


def check_metadata(layout: Layout, name: str, data: bytes) -> None:
    """Raise `RefusedError` unless `data` is metadata of the version and role that `name` says."""
    with explained():
        layout.metadata(name)
        number, _, role = name.removesuffix(".json").partition(".")
        if role not in ROLES:
            raise RefusedError(f"there is no role {role[:40]!r}")
        kind = role if role in (ROOT, SNAPSHOT) else TARGETS
        if parse_metadata(data, kind).version != int(number):
            raise RefusedError(f"{name} is of another version")


def check_object(data: bytes) -> None:
    """Raise `RefusedError` unless `data` is a JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RefusedError("a change that waits is a JSON object") from error
    if not isinstance(value, dict):
        raise RefusedError("a change that waits is a JSON object")


def etag_of(data: bytes | None) -> str:
    """Return the ETag of a small file; "" if there is none."""
    return "" if data is None else f'"{hashlib.sha256(data).hexdigest()}"'


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what is wrong with a publisher's metadata into an answer for the publisher."""
    try:
        yield
    except (MetadataError, StoreError, UnfitError) as error:
        raise refusal(error) from error


def refusal(error: ZosError) -> RefusedError:
    """Return the refusal because of `error`."""
    return RefusedError(error.message, hint=error.hint)
