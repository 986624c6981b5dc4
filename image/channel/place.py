"""The store and the keys that a command line names."""

import getpass
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.locks import say
from common.releases.layout import Layout
from image.channel.repository import Change, Repository, open_repository
from image.channel.signers import Keyring, load_keyring
from image.channel.staging import commit_or_stage
from image.errors import ImageError
from image.files import read_file
from image.release.store import hold_store

ROOT_FILE = "root.json"
ROOT_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A store, and where keys are: files, folders or PKCS#11 URIs."""

    layout: Layout
    keys: Sequence[str]

    def root(self) -> bytes | None:
        """Return the trusted root: `root.json` in a folder of keys, or given as one of them."""
        for source in map(Path, self.keys):
            file = source / ROOT_FILE if source.is_dir() else source
            if file.name.endswith(ROOT_FILE) and file.exists():
                return read_file(file, ROOT_MAX_BYTES)
        return None

    def keyring(self) -> Keyring:
        """Return the keys that sign."""
        return load_keyring(source for source in self.keys if not source.endswith(ROOT_FILE))

    def open(self) -> Repository:
        """Return the repository, verified from the trusted root, or the store's first one."""
        return open_repository(self.layout, self.root())

    def change(self, work: str, make: Callable[[Repository], Change]) -> Change:
        """Publish the change that `make` returns, alone; other publishers wait meanwhile."""
        keyring = self.keyring()  # may ask for a passphrase, so before the lock
        with hold_store(self.layout, work):
            repository = self.open()
            note_expiry(repository, time.time())
            change = make(repository)
            commit_or_stage(repository, change, keyring, time.time())
        return change


def note_expiry(repository: Repository, now: float) -> None:
    """Tell if clients accept nothing of the store: it was neglected, or this clock is wrong."""
    expires = repository.timestamp.signed.expires
    if now >= expires.timestamp():
        say(f"the timestamp expired at {expires:%Y-%m-%d %H:%M} UTC; if that is news, see `date`")


def open_layout(text: str, *, must_exist: bool = True) -> Layout:
    """Return the store in the folder `text`; an address is refused."""
    if "://" in text:
        raise ImageError(
            f"cannot use {text}: a bootstrap server takes no uploads yet",
            hint="give the folder of a release store, which the server reads",
        )
    if not text or (must_exist and not Path(text).is_dir()):
        raise ImageError(
            f"cannot use {text!r}: it is not a folder", hint="`zos image keys init` makes a store"
        )
    return Layout(Path(text))


def describe_user() -> str:
    """Return who runs this, for the history."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
