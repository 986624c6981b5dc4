"""`zdb export`: namespaces as a file of requests, which `zdb import` and any 0-db take.

For each namespace: NSNEW, NSSET, SELECT, then a SET for each key, in the order of their last
change. In mode seq, numbers that are not in use are taken and deleted, so that the others stay the
same. Passwords are in it, too.
"""

from collections.abc import Iterator
from typing import BinaryIO

from zdb.errors import DamagedError
from zdb.format.index import SEQ_KEY
from zdb.storage.namespace import Namespace
from zdb.storage.scan import scan
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store
from zdb.tools.folders import Folders, Tell, tell_nobody
from zdb.tools.requests import pack
from zdb.values import DEFAULT, MIX, SEQ

SHOWN_EVERY = 1000


def export(
    folders: Folders,
    wanted: list[str],
    stream: BinaryIO,
    tell: Tell = tell_nobody,
) -> tuple[int, list[str]]:
    """Write namespaces, all if none is wanted; return how many keys, and what was damaged."""
    damaged: list[str] = []
    count = 0
    with Store(folders.data, folders.index, StoreSettings(mode=MIX, is_replica=True)) as store:
        for name in wanted or list(store.namespaces):
            namespace = store.namespaces[name]
            stream.writelines(settings_of(namespace))
            for blob in values(namespace, damaged):
                stream.write(blob)
                count += 1
                if count % SHOWN_EVERY == 0:
                    tell(name, count, 0)
    return count, damaged


def settings_of(namespace: Namespace) -> Iterator[bytes]:
    """Yield the requests that make a namespace."""
    name = namespace.name.encode("utf-8", "surrogateescape")
    settings = {b"mode": namespace.mode.encode()}
    if namespace.name != DEFAULT:
        yield pack(b"NSNEW", name)
        settings[b"maxsize"] = b"%d" % namespace.maxsize
        settings[b"public"] = b"1" if namespace.public else b"0"
        if namespace.password:
            settings[b"password"] = namespace.password
    for key, value in settings.items():
        yield pack(b"NSSET", name, key, value)
    yield pack(b"SELECT", name, *([namespace.password] if b"password" in settings else []))


def values(namespace: Namespace, damaged: list[str]) -> Iterator[bytes]:
    """Yield a request for each key that can be read."""
    cursor, expected = None, 0
    while (page := scan(namespace, cursor)) is not None:
        cursor = page.cursor
        for key, _, time in page.items:
            try:
                value = namespace.get(key)
            except DamagedError as error:
                damaged.append(error.message)
                continue
            if value is None:
                continue
            if namespace.mode == SEQ:
                yield from gaps(expected, int.from_bytes(key, "little"))
                expected = int.from_bytes(key, "little") + 1
                key = b""
            yield pack(b"SET", key, value, b"%d" % time)


def gaps(first: int, end: int) -> Iterator[bytes]:
    """Yield requests that use up the numbers from `first` to before `end`."""
    for number in range(first, end):
        yield pack(b"SET", b"", b"")
        yield pack(b"DEL", number.to_bytes(SEQ_KEY, "little"))
