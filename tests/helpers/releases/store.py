"""A release store with keys, small releases, and the changes of a maintainer."""

import functools
import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.releases.channel import Channel, read_channel
from common.releases.flists import ReleaseFlist, set_version
from common.releases.layout import Layout
from common.tuf.trust import Trusted
from image.channel.actions import Reason, promote, publish, refresh, rollback, withdraw
from image.channel.keys import initialise, make_keys, rotate
from image.channel.repository import Change, Repository, open_repository
from image.channel.signers import Keyring, load_file, load_keyring
from image.channel.staging import commit_or_stage
from image.release.store import add_release, hold_store

DAY_S = 86_400.0
FLIST = b"SQLite format 3\0" + b"tables"
BOOT_FILES = ("vmlinuz", "initramfs.zst")


def write_release(folder: Path, version: str, **fields: Any) -> Path:
    """Write a release that any channel may hold; `fields` are further ones of its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in BOOT_FILES:
        (folder / name).write_bytes(f"{name} of {version}\n".encode() * 20)
    write_manifest(folder, version, **fields)
    return folder


def write_manifest(folder: Path, version: str, **fields: Any) -> None:
    """Write the manifest of the boot files in `folder`."""
    files = {}
    for name in BOOT_FILES:
        data = (folder / name).read_bytes()
        files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    flists = [ReleaseFlist(**row) for row in fields.get("flists", [])]
    version = set_version(version, flists)
    value = {"version": version, "debug": False, "locked": True, "files": files, **fields}
    (folder / "manifest.json").write_text(json.dumps(value))


def write_core(folder: Path, **about: Any) -> Path:
    """Write a flist beside the description of its archive."""
    folder.mkdir()
    (folder / "core.json").write_text(json.dumps({"debug": False, "locked": True, **about}))
    (folder / "core.fl").write_bytes(FLIST)
    return folder / "core.fl"


@dataclass
class Maintainer:
    """Who holds all keys of a store; `now` is the clock of the machine."""

    top: Path
    root: bytes
    now: float
    loaded: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, top: Path, now: float | None = None) -> "Maintainer":
        """Make keys and empty channels in `top`."""
        at = time.time() if now is None else now
        layout = Layout(top / "store")
        with hold_store(layout, "a test"):
            root = initialise(layout, make_keys(top / "keys", is_encrypted=False), at)
        (top / "keys" / "root.json").write_bytes(root)
        return cls(top, root, at)

    @property
    def layout(self) -> Layout:
        return Layout(self.top / "store")

    @functools.cached_property
    def keyring(self) -> Keyring:
        """All keys of the folder; `keys_changed` reads them again."""
        return load_keyring([str(self.top / "keys")])

    def keys_changed(self) -> None:
        self.__dict__.pop("keyring", None)

    def key(self, name: str) -> Any:
        """Return the signer in a key file."""
        if name not in self.loaded:
            self.loaded[name] = load_file(self.top / "keys" / f"{name}.pem")
        return self.loaded[name]

    def open(self) -> Repository:
        return open_repository(self.layout, self.root)

    def change(self, make: Callable[[Repository], Change], keyring: Keyring | None = None) -> None:
        """Publish a change with all keys, or with those of `keyring`."""
        with hold_store(self.layout, "a test"):
            repository = self.open()
            commit_or_stage(
                repository,
                make(repository),
                self.keyring if keyring is None else keyring,
                self.now,
            )

    def reason(self, why: str = "") -> Reason:
        return Reason("somebody@test", self.now, why)

    def add(self, version: str, **fields: Any) -> str:
        """Put a release into the store; return its version, which may name its set of flists."""
        folder = Path(tempfile.mkdtemp(dir=self.top))
        return self.add_folder(write_release(folder, version, **fields))

    def add_folder(self, folder: Path) -> str:
        """Put the release in a folder into the store; return its version."""
        with hold_store(self.layout, "a test"):
            return add_release(self.layout, folder, lambda _: None).version

    def publish(self, channel: str, version: str, **fields: Any) -> str:
        added = self.add(version, **fields)
        self.hold(channel, added)
        return added

    def hold(self, channel: str, version: str) -> None:
        """Make a channel hold a release that the store has."""
        self.change(lambda it: publish(it, channel, version, self.reason()))

    def promote(self, source: str, channel: str) -> None:
        self.change(lambda it: promote(it, source, channel, self.reason()))

    def rollback(self, channel: str, version: str | None = None) -> None:
        self.change(lambda it: rollback(it, channel, version, self.reason("it hangs")))

    def withdraw(self, version: str, *channels: str) -> None:
        names = channels or ("dev", "qa", "test", "prod")
        self.change(lambda it: withdraw(it, version, names, self.reason("a hole")))

    def renew(self, *roles: str, is_forced: bool = False) -> None:
        self.change(lambda it: refresh(it, roles, self.now, is_forced=is_forced))

    def rotate(self, role: str, **how: Any) -> None:
        self.change(lambda it: rotate(it, role, self.now, **how))

    def read(self, channel: str, trusted: Trusted | None = None) -> Channel:
        """Return a channel as a client sees it."""
        return read_channel(trusted or Trusted(self.root), channel, self.layout.fetch, self.now)

    def files(self) -> dict[str, bytes]:
        """Return all metadata, as a mirror has it."""
        folder = self.layout.top / "metadata"
        return {path.name: path.read_bytes() for path in folder.glob("*.json")}
