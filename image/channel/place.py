"""The store and the keys that a command line names."""

import contextlib
import getpass
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from common.locks import say
from common.releases.layout import Layout
from common.scratch import scratch
from image.channel.commit import KeysMissingError
from image.channel.mirror import Mirror
from image.channel.repository import Change, Repository, open_repository
from image.channel.server import BootstrapServer, OutdatedError
from image.channel.signers import Keyring, load_keyring
from image.channel.staging import commit_or_stage
from image.errors import ImageError
from image.files import read_file
from image.release.store import hold_store

ROOT_FILE = "root.json"
ROOT_MAX_BYTES = 1 << 20
T = TypeVar("T")
TRIES = 5  # to change a server's state, before others have changed it


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
        root = self.root()
        if root is None and self.keys and isinstance(self.layout, Mirror):
            raise ImageError(
                f"cannot sign for {self.layout}: no trusted root is given",
                hint=f"{ROOT_FILE} in the folder of keys, or --keys {ROOT_FILE}",
            )
        return open_repository(self.layout, root)

    @contextlib.contextmanager
    def hold(self, work: str) -> Iterator[None]:
        """Be the only one who changes the store while the block runs; others wait meanwhile.

        What the block has done to a server's store is sent at the end. Raises `OutdatedError` if
        another publisher was faster.
        """
        if not isinstance(self.layout, Mirror):
            with hold_store(self.layout, work):
                yield
            return
        self.layout.server.demand_token()
        self.layout.begin()
        try:
            yield
        except KeysMissingError:
            self.layout.send()  # the change that waits for others
            raise
        self.layout.send()

    def change(self, work: str, make: Callable[[Repository], Change]) -> Change:
        """Publish the change that `make` returns; it is made again if others were faster."""
        keyring = self.keyring()  # may ask for a passphrase, so before the lock

        def attempt() -> Change:
            with self.hold(work):
                repository = self.open()
                note_expiry(repository, time.time())
                change = make(repository)
                commit_or_stage(repository, change, keyring, time.time())
            return change

        return repeat(attempt)


def repeat(attempt: Callable[[], T]) -> T:
    """Return what `attempt` returns; try again while other publishers are faster."""
    for _ in range(TRIES - 1):
        try:
            return attempt()
        except OutdatedError as error:
            say(f"{error.message}; once more")
    return attempt()


def note_expiry(repository: Repository, now: float) -> None:
    """Tell if clients accept nothing of the store: it was neglected, or this clock is wrong."""
    expires = repository.timestamp.signed.expires
    if now >= expires.timestamp():
        say(f"the timestamp expired at {expires:%Y-%m-%d %H:%M} UTC; if that is news, see `date`")


@contextlib.contextmanager
def open_place(text: str, keys: Sequence[str] = (), token: str = "") -> Iterator[Place]:
    """Open the store in the folder `text`, or the one of the bootstrap server at this address."""
    if not is_address(text):
        yield Place(open_folder(text), keys)
        return
    with scratch("mirror") as folder:
        mirror = Mirror(folder, BootstrapServer(text, token))
        mirror.begin()
        yield Place(mirror, keys)


def is_address(text: str) -> bool:
    """Return whether a store is on a server."""
    return "://" in text


def open_folder(text: str, *, must_exist: bool = True) -> Layout:
    """Return the store in the folder `text`; an address is refused."""
    if is_address(text):
        raise ImageError(
            f"cannot use {text}: this needs the folder of a store",
            hint="run it on the server's machine, with the folder that `--store` names there",
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
