"""`zdb repair`: the index is made anew from the data, and what can't be read is set aside."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from common.files import read_regular, write_atomic
from zdb.errors import DamagedError, VersionError
from zdb.format import data as data_format
from zdb.format import namespace as descriptor
from zdb.format.namespace import Descriptor
from zdb.storage import checkpoint
from zdb.storage.files import Disk
from zdb.storage.loading import file_ids
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store, closed
from zdb.tools.folders import Folders, Tell, tell_nobody
from zdb.values import DEFAULT, MIX


@dataclass
class Repaired:
    """What was done."""

    namespaces: dict[str, int] = field(default_factory=dict)  # and how many keys each has
    notes: list[str] = field(default_factory=list)


def repair(folders: Folders, wanted: list[str], aside: Path, tell: Tell = tell_nobody) -> Repaired:
    """Repair namespaces, all if none is wanted; torn tails and bad files go to `aside`."""
    done = Repaired()
    aside.mkdir(parents=True, exist_ok=True, mode=0o700)
    with folders.locked():
        names = folders.names(wanted)
        for number, name in enumerate(names):
            tell("namespaces", number, len(names))
            prepare(folders, name, aside, done.notes)
    settings = StoreSettings(mode=MIX, is_replica=True, keep_torn=aside, log=done.notes.append)
    with Store(folders.data, folders.index, settings) as store:
        for name in names:
            done.namespaces[name] = store.namespaces[name].entries
    return done


def prepare(folders: Folders, name: str, aside: Path, notes: list[str]) -> None:
    """Make a namespace such that opening it makes its index anew."""
    data, index = folders.data / name, folders.index / name
    data.mkdir(exist_ok=True, mode=0o700)
    index.mkdir(exist_ok=True, mode=0o700)
    mend_descriptor(index / descriptor.NAME, name, aside, notes)
    for file_id in sorted(file_ids(data, "d")):
        mend_header(data / data_format.file_name(file_id), file_id, notes)
    checkpoint.remove(index)


def mend_descriptor(path: Path, name: str, aside: Path, notes: list[str]) -> None:
    """Write a descriptor where there is none that can be read; nobody gets in until it is changed.

    The namespace `default` is open as it always is.
    """
    try:
        descriptor.unpack(read_regular(path), str(path))
        return
    except FileNotFoundError:
        notes.append(f"{path} was missing")
    except DamagedError as error:
        path.rename(aside / f"{name}-{descriptor.NAME}")
        notes.append(f"{error.message}; it is in {aside} now")
    wanted = Descriptor(name) if name == DEFAULT else closed(name)
    if wanted.password:
        notes.append(f"namespace {name} has a new password: {wanted.password.decode()}")
    write_atomic(path, wanted.pack(), 0o600)


def mend_header(path: Path, file_id: int, notes: list[str]) -> None:
    """Write the header of a data file anew if it is damaged."""
    with os.fdopen(Disk().open(path, create=False, writable=True), "r+b") as stream:
        head = stream.read(data_format.HEADER.size)
        try:
            data_format.read_header(head, file_id, str(path))
        except VersionError:
            raise
        except DamagedError as error:
            if len(head) < data_format.HEADER.size:
                return
            stream.seek(0)
            stream.write(data_format.pack_header(int(path.stat().st_mtime), file_id))
            notes.append(f"{error.message}; it has a new header")
