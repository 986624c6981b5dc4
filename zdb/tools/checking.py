"""`zdb check`: everything is computed again from the data, and compared. Nothing is changed.

The index is made anew from the data, in a temporary folder; then the entries that count, those of
current values, must be the same.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from common.files import read_regular
from zdb.errors import DamagedError, VersionError, ZdbError
from zdb.format import data as data_format
from zdb.format import index as index_format
from zdb.format import namespace as descriptor
from zdb.format.index import Entry
from zdb.storage import checkpoint
from zdb.storage.data_files import DataFiles
from zdb.storage.files import Disk, Handles
from zdb.storage.index_files import IndexFiles
from zdb.storage.loading import Loader, file_ids
from zdb.storage.namespace import Namespace
from zdb.storage.replay import Replay
from zdb.storage.settings import NEVER, StoreSettings
from zdb.storage.walk import Damage
from zdb.tools.folders import Folders, Tell, tell_nobody
from zdb.values import MIX, SEQ

MAX_FINDINGS = 1000  # of one namespace; the rest is counted


@dataclass
class Report:
    """What was found in one namespace."""

    name: str
    entries: int = 0
    data_bytes: int = 0
    records: int = 0
    is_closed: bool = True  # properly, so that the index must be complete
    findings: list[str] = field(default_factory=list)
    left_out: int = 0

    def find(self, text: str) -> None:
        """Add a finding."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(text)
        else:
            self.left_out += 1


def check(folders: Folders, wanted: list[str], tell: Tell = tell_nobody) -> list[Report]:
    """Check namespaces, all if none is wanted; a server must not have the folders."""
    with folders.locked():
        return [check_namespace(folders, name, tell) for name in folders.names(wanted)]


def check_namespace(folders: Folders, name: str, tell: Tell) -> Report:
    """Check one namespace."""
    report = Report(name)
    index = folders.index / name
    check_descriptor(index / descriptor.NAME, report)
    if not (folders.data / name).is_dir():
        report.find(f"{folders.data / name} is missing")
        return report
    scratch = Path(tempfile.mkdtemp(prefix="zdb-check-"))
    try:
        made = rebuild(folders.data / name, index, scratch, report, tell)
        if made is not None:
            compare(made, index, report, tell)
            made.close_files()
    except (ZdbError, OSError) as error:
        report.find(str(error))
    finally:
        shutil.rmtree(scratch)
    return report


def check_descriptor(path: Path, report: Report) -> None:
    """Read the descriptor of a namespace."""
    try:
        descriptor.unpack(read_regular(path), str(path))
    except FileNotFoundError:
        report.find(f"{path} is missing: password, quota and other settings are lost")
    except (OSError, DamagedError) as error:
        report.find(str(error))


def rebuild(data: Path, index: Path, scratch: Path, report: Report, tell: Tell) -> Namespace | None:
    """Make the index anew in `scratch`, and report what is wrong with the data."""
    settings = StoreSettings(mode=MIX, sync=NEVER, log=report.find)
    made = Namespace(report.name, data, scratch, settings, Handles(Disk()))
    made.data = DataFiles(data, Handles(Disk(), writable=False))
    ids = file_ids(data, "d")
    if not ids:
        return None
    loader = CheckingLoader(made, ids, report, tell)
    loader.learn_mode_from(index)
    loader.make()
    report.entries, report.data_bytes = made.entries, made.data_bytes
    return made


class CheckingLoader(Loader):
    """Reads all data and leaves it as it is."""

    def __init__(self, namespace: Namespace, ids: set[int], report: Report, tell: Tell) -> None:
        super().__init__(namespace, ids, set(), max(ids) + 1)
        self.report = report
        self.tell = tell

    def learn_mode_from(self, index: Path) -> None:
        """Take the mode from the index that is to be checked, else from the keys."""
        for file_id in sorted(file_ids(index, "i") if index.is_dir() else ()):
            path = index / index_format.file_name(file_id)
            try:
                blob = read_head(path)
                self.set_mode(index_format.read_header(blob, file_id, str(path)))
                return
            except (OSError, DamagedError):
                continue
        self.set_mode(self.guess_mode())

    def make(self) -> None:
        """Make the index of all files."""
        replay = Replay(self.namespace)
        for file_id in range(self.count):
            self.tell(f"{self.namespace.name}: data", file_id, self.count)
            self.open_files(file_id)
            if file_id in self.data_ids:
                start = data_format.HEADER.size
                self.replay_file(replay, file_id, start, index_format.HEADER.size)
            else:
                replay.lost_bytes += self.namespace.settings.file_size
        replay.finish()
        self.report.records = replay.count
        self.namespace.index.write_changes()

    def mend_head(self, file_id: int, created: int) -> None:
        """Leave a header as it is."""
        del created
        file = self.namespace.data.files[file_id]
        if file.length < data_format.HEADER.size:
            self.report.find(f"{file.path} ends within its header")

    def created(self, file_id: int, otherwise: int) -> int:
        """Report a header that is damaged."""
        try:
            return self.namespace.data.created(file_id)
        except VersionError:
            raise
        except DamagedError as error:
            self.report.find(error.message)
            return otherwise

    def cut_tail(self, file_id: int, damage: Damage) -> None:
        """Report a torn tail."""
        file = self.namespace.data.files[file_id]
        size = damage.end - damage.offset
        self.report.find(f"{file.path}: the last {size} bytes, from {damage.offset} on, are torn")


def read_head(path: Path) -> bytes:
    """Return the header of an index file."""
    return read_regular(path)[: index_format.HEADER.size]


def compare(made: Namespace, folder: Path, report: Report, tell: Tell) -> None:
    """Compare the index in `folder` with the one that was made from the data."""
    end = checkpoint.read(folder)
    length = made.data.current.length
    if end is not None and (end.file_id, end.data_length) != (made.data.current_id, length):
        report.is_closed = False
    found = IndexFiles(folder, Handles(Disk(), writable=False))
    ids = file_ids(folder, "i") if folder.is_dir() else set()
    for file_id in range(len(made.index.files)):
        tell(f"{report.name}: index", file_id, len(made.index.files))
        file = found.add()
        if file_id not in ids:
            report.find(f"{file.path} is missing: it is made when the namespace is opened")
        elif report.is_closed or (end is not None and file_id < end.file_id):
            file.open()
            compare_file(made, found, file_id, report)
            file.close()


def compare_file(made: Namespace, found: IndexFiles, file_id: int, report: Report) -> None:
    """Compare the entries of current values in two index files."""
    path = found.files[file_id].path
    try:
        mode = found.mode(file_id)
        if mode != made.mode:
            report.find(f"{path} is of mode {mode}, not of {made.mode}")
        for text in differences(live(made.index, file_id), live(found, file_id), mode):
            report.find(f"{path} {text}")
    except DamagedError as error:
        report.find(error.message)


def differences(right: Iterator[Entry], found: Iterator[Entry], mode: str) -> Iterator[str]:
    """Yield what is missing, and what is too much; both are in order."""
    want, have = next(right, None), next(found, None)
    while want is not None or have is not None:
        if want is not None and have is not None and mark(want, mode) == mark(have, mode):
            want, have = next(right, None), next(found, None)
        elif have is None or (want is not None and order(want, mode) <= order(have, mode)):
            assert want is not None
            yield f"lacks the value at {want.offset} of the data"
            want = next(right, None)
        else:
            yield f"has an entry for what is at {have.offset} of the data: no current value"
            have = next(found, None)


def order(entry: Entry, mode: str) -> int:
    """Return what grows from one entry of a file to the next."""
    return int.from_bytes(entry.key, "little") if mode == SEQ else entry.offset


def mark(entry: Entry, mode: str) -> tuple[bytes, int, int, int, int]:
    """Return what must be equal in two entries."""
    data_file = entry.data_file if mode == SEQ else 0  # upstream has 0 for first versions
    return entry.key, data_file, entry.offset, entry.length, entry.crc


def live(index: IndexFiles, file_id: int) -> Iterator[Entry]:
    """Yield the entries of current values."""
    offset = index_format.HEADER.size
    while chunk := index.chunk(file_id, offset):
        for place, entry in chunk:
            offset = place + entry.size
            if not entry.is_deleted:
                yield entry
