"""A service on a store without a socket, and a disk that refuses."""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zdb.commands.client import Client
from zdb.commands.service import Rules, Service
from zdb.commands.table import make_table
from zdb.storage.files import Buffer, Disk
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store
from zdb.values import MIX


class FullDisk(Disk):
    """A disk that takes nothing while `is_full`."""

    def __init__(self) -> None:
        self.is_full = False
        self.pwritev = self.write_if_free  # type: ignore[assignment]

    def write_if_free(self, handle: int, buffers: Sequence[Buffer], offset: int) -> int:
        """Write, or refuse to."""
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.pwritev(handle, buffers, offset)


class Desk:
    """A service and its clients; each call is a turn of its own."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def client(self) -> Client:
        """Return a new client."""
        namespace, is_admin, is_writable = self.service.rights()
        client = Client(namespace, is_admin=is_admin, is_writable=is_writable)
        self.service.admit(client)
        return client

    def turn(self, client: Client, *requests: Sequence[bytes | str]) -> list[bytes]:
        """Run requests, commit, and return the replies."""
        packed = [tuple(w.encode() if isinstance(w, str) else w for w in r) for r in requests]
        while packed:
            packed = packed[self.service.run(client, packed) :]
        self.service.commit()
        return self.take(client)

    def ask(self, client: Client, *words: bytes | str) -> bytes:
        """Run one request and return its reply."""
        return b"".join(self.turn(client, words))

    def take(self, client: Client) -> list[bytes]:
        """Return what a client is sent."""
        found = list(client.replies)
        client.replies.clear()
        client.written.clear()
        return found


@contextlib.contextmanager
def desk(
    folder: Path, rules: Rules | None = None, disk: Disk | None = None, **settings: Any
) -> Iterator[Desk]:
    """Open a store in `folder` with a service."""
    logged: list[str] = []
    wanted = StoreSettings(**{"mode": MIX, "log": logged.append, **settings})
    with Store(folder / "data", folder / "index", wanted, disk) as store:
        yield Desk(Service(store, rules or Rules(), make_table(), logged.append))
