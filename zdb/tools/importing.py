"""`zdb import`: the requests that `zdb export` wrote, into the folders of a server that rests."""

from collections.abc import Callable, Sequence
from typing import BinaryIO

from zdb.errors import RefusedError, ZdbError
from zdb.storage.namespace import Namespace
from zdb.storage.settings import NEVER, StoreSettings
from zdb.storage.store import Store
from zdb.tools.folders import Folders, Tell, tell_nobody
from zdb.tools.requests import read
from zdb.values import DEFAULT, MAX_KEY, MIX, MODES, SEQ

COMMIT_EVERY = 1000
COMMIT_BYTES = 16 << 20


def import_requests(folders: Folders, stream: BinaryIO, tell: Tell = tell_nobody) -> int:
    """Do what the requests say, and return how many values were set."""
    settings = StoreSettings(mode=MIX, sync=NEVER)
    with Store(folders.data, folders.index, settings) as store:
        return Import(store, tell).run(stream)


class Import:
    """A run of `zdb import`."""

    def __init__(self, store: Store, tell: Tell) -> None:
        self.store = store
        self.tell = tell
        self.namespace = store.namespaces[DEFAULT]
        self.count = 0
        self._size = 0

    def run(self, stream: BinaryIO) -> int:
        """Do what the requests say."""
        for number, words in enumerate(read(stream), 1):
            name = words[0].upper() if words else b""
            if name not in ACTIONS or not ACTIONS[name][0] <= len(words) <= ACTIONS[name][1]:
                raise ZdbError(f"cannot do request {number}: not one of `zos zdb export`")
            try:
                ACTIONS[name][2](self, words)
            except RefusedError as error:
                raise ZdbError(f"cannot do request {number}: {error.message}") from error
            self._commit_some(words)
        self._commit()
        return self.count

    def create(self, words: Sequence[bytes]) -> None:
        """NSNEW name: one that is there already is added to."""
        name = words[1].decode("utf-8", "surrogateescape")
        if name not in self.store.namespaces:
            self.store.create(name)

    def change(self, words: Sequence[bytes]) -> None:
        """NSSET name setting value."""
        namespace, key, value = self._named(words[1]), words[2].lower(), words[3]
        if key == b"mode":
            mode = value.decode("ascii", "replace")
            if mode not in MODES:
                raise RefusedError("Invalid property value")
            if mode == SEQ and not namespace.is_fresh:
                raise ZdbError(
                    f"cannot import namespace {namespace.name}: it has numbers already, and those "
                    "of the file would become others",
                    hint="delete the namespace, or import into other folders",
                )
            if mode != namespace.mode:
                self._commit()
                self.store.set_mode(namespace.name, mode)
        elif key == b"maxsize" and value.isdigit():
            namespace.change(maxsize=int(value))
        elif key == b"public":
            namespace.change(public=value == b"1")
        elif key == b"password":
            namespace.change(password=value)
        else:
            raise RefusedError("Invalid property")

    def select(self, words: Sequence[bytes]) -> None:
        """SELECT name [password]."""
        self.namespace = self._named(words[1])

    def set(self, words: Sequence[bytes]) -> None:
        """SET key value [time]."""
        if len(words[1]) > MAX_KEY:
            raise RefusedError("Key too large")
        stamp = int(words[3]) & 0xFFFFFFFF if len(words) > 3 and words[3].isdigit() else None
        self.namespace.set(words[1], words[2], stamp)
        self.count += 1

    def delete(self, words: Sequence[bytes]) -> None:
        """DEL key."""
        self.namespace.delete(words[1])

    def _named(self, name: bytes) -> Namespace:
        found = self.store.namespaces.get(name.decode("utf-8", "surrogateescape"))
        if found is None:
            raise RefusedError("Namespace not found")
        return found

    def _commit_some(self, words: Sequence[bytes]) -> None:
        self._size += sum(map(len, words))
        if self.count % COMMIT_EVERY == 0 or self._size > COMMIT_BYTES:
            self._commit()
            self.tell(self.namespace.name, self.count, 0)

    def _commit(self) -> None:
        self._size = 0
        if self.store.commit():
            raise ZdbError("cannot import: the disk takes no more")


Action = tuple[int, int, Callable[[Import, Sequence[bytes]], None]]
ACTIONS: dict[bytes, Action] = {
    b"NSNEW": (2, 2, Import.create),
    b"NSSET": (4, 4, Import.change),
    b"SELECT": (2, 3, Import.select),
    b"SET": (3, 4, Import.set),
    b"DEL": (2, 2, Import.delete),
}
"""Requests: how many words they have, at least and at most, and what they do."""
