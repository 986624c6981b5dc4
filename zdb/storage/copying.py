"""From one store to another: where data files end, their bytes, and taking these in.

The bytes of data files are copied as they are. The index is made from them here as it was there, so
it comes out the same.
"""

from typing import NamedTuple

from zdb.errors import DamagedError, WriteError, ZdbError
from zdb.format.data import HEADER, RECORD, checksum, read_header, unpack_record
from zdb.format.index import pack_header as pack_index_header
from zdb.format.namespace import Descriptor
from zdb.storage.namespace import Namespace
from zdb.storage.replay import Replay
from zdb.storage.store import Store
from zdb.values import DEFAULT, MAX_KEY, MAX_VALUE

DIGEST_BYTES = 4096
MAX_CHUNK = RECORD.size + MAX_KEY + MAX_VALUE


class Place(NamedTuple):
    """An end in the data files, and a checksum of what is right before it."""

    file_id: int
    offset: int
    digest: int


BEGINNING = Place(0, 0, 0)


class State(NamedTuple):
    """A namespace as its copy must be."""

    name: str
    mode: str
    incarnation: str
    descriptor: Descriptor
    file_id: int
    offset: int
    total: int  # bytes of all data files


def state_of(namespace: Namespace) -> State:
    """Return how far a namespace is on the disk."""
    data = namespace.data
    total = sum(file.length for file in data.files)
    descriptor = namespace.descriptor
    if namespace.name == DEFAULT:  # its settings are those of the server, on the disk it has none
        descriptor = Descriptor(DEFAULT)
    head = namespace.name, namespace.mode, namespace.incarnation, descriptor
    return State(*head, data.current_id, data.current.length, total)


def token_of(store: Store) -> str:
    """Return a text that is another one after each commit and each change of a namespace."""
    versions = sum(namespace.version for namespace in store.namespaces.values())
    return f"{store.epoch}:{store.version}:{versions}"


def place_of(namespace: Namespace) -> Place:
    """Return where a copy goes on."""
    data = namespace.data
    file_id, offset = data.current_id, data.current.length
    return Place(file_id, offset, digest(namespace, file_id, offset))


def digest(namespace: Namespace, file_id: int, offset: int) -> int:
    """Return a checksum of the bytes before an offset."""
    size = min(offset, DIGEST_BYTES)
    return checksum(namespace.data.read(file_id, offset - size, size))


def read(namespace: Namespace, place: Place, size: int) -> tuple[str, bytes]:
    """Return what comes after a place: `data` and bytes, or why there are none.

    `same`: nothing yet; `end`: the file ends there, and there is a next one; `diverged`: the copy
    has what is not here.
    """
    files = namespace.data.files
    if place.file_id >= len(files) or place.offset > files[place.file_id].length:
        return "diverged", b""
    if digest(namespace, place.file_id, place.offset) != place.digest:
        return "diverged", b""
    left = files[place.file_id].length - place.offset
    if not left:
        return ("same" if place.file_id == len(files) - 1 else "end"), b""
    wanted = HEADER.size if place.offset == 0 else min(size, left, MAX_CHUNK)
    return "data", namespace.data.read(place.file_id, place.offset, wanted)


def take_header(namespace: Namespace, head: bytes) -> None:
    """Take the header of the master's first file, in place of the one of an empty namespace."""
    created = read_header(head, 0, "the master's d0")
    namespace.data.files[0].overwrite(0, head)
    namespace.index.files[0].overwrite(0, pack_index_header(created, 0, namespace.mode))
    namespace.checkpoint()


def check_place(namespace: Namespace, place: Place) -> None:
    """Raise if a namespace does not end where the bytes that came belong."""
    data = namespace.data
    if (data.current_id, data.current.end) != place[:2]:
        raise ZdbError(f"namespace {namespace.name} has gone on from {place.offset} meanwhile")


def begin_file(namespace: Namespace, place: Place, head: bytes) -> None:
    """Begin the next file, behind `place`, with the header of the master's."""
    check_place(namespace, place)
    namespace.jump(read_header(head, namespace.data.current_id + 1, "the master's next file"))


def take(namespace: Namespace, place: Place, blob: bytes) -> int:
    """Add the whole records of `blob`, which are behind `place`; return how many bytes those were.

    They are in memory until the commit, which undoes all of them if it fails.
    """
    if namespace.is_failing:
        raise WriteError
    check_place(namespace, place)
    data, replay, at = namespace.data, Replay(namespace), 0
    replay.begin(namespace.index.current.end)
    while (record := unpack_record(blob, data.current.end, at)) is not None:
        size = record.end - record.offset
        if not record.key or record.length > MAX_VALUE:
            where = f"{record.offset} of {data.current.path.name}"
            raise DamagedError(f"namespace {namespace.name}: the master has no record at {where}")
        if at + size > len(blob):
            break
        data.current.append(blob[at : at + size])
        namespace.touch()
        replay.take(record)
        at += size
    return at
