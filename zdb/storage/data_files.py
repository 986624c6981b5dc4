"""The data files of a namespace."""

from pathlib import Path

from zdb.errors import DamagedError
from zdb.format.data import (
    DELETED,
    HEADER,
    RECORD,
    Record,
    checksum,
    file_name,
    pack_header,
    pack_record,
    read_header,
    unpack_record,
)
from zdb.storage.files import Handles, LogFile
from zdb.values import MAX_FILE_SIZE, MAX_KEY

RESERVE = RECORD.size + MAX_KEY  # that a file's last record, a deletion, may need


class DataFiles:
    """All data files; records are added to the last one."""

    def __init__(self, folder: Path, handles: Handles) -> None:
        self.folder = folder
        self.previous = 0  # the offset of the last record
        self.files: list[LogFile] = []
        self._handles = handles

    @property
    def current_id(self) -> int:
        """Return the number of the last file."""
        return len(self.files) - 1

    @property
    def current(self) -> LogFile:
        """Return the last file."""
        return self.files[-1]

    def add(self) -> LogFile:
        """Return a next file that is known, but neither made nor opened."""
        file = LogFile(self.folder / file_name(len(self.files)), self._handles)
        self.files.append(file)
        return file

    def create(self, created: int) -> None:
        """Begin a next file."""
        file_id = len(self.files)
        self.add().create(pack_header(created, file_id))

    def created(self, file_id: int) -> int:
        """Return when a file was made; raise `DamagedError` if it is no data file."""
        file = self.files[file_id]
        return read_header(file.read(0, HEADER.size), file_id, str(file.path))

    def has_room(self, key: bytes, value: bytes, file_size: int) -> bool:
        """Return whether a record still goes into the last file, as upstream counts.

        Any record goes into an empty one.
        """
        end = self.files[-1].end
        if end == HEADER.size:
            return True
        size = RECORD.size + len(key) + len(value)
        return end + len(value) <= file_size and end + size + RESERVE <= MAX_FILE_SIZE

    def append(self, key: bytes, value: bytes, crc: int, time: int) -> int:
        """Add a value's record and return its offset."""
        file = self.files[-1]
        self.previous = file.append(pack_record(key, value, self.previous, crc, 0, time))
        return self.previous

    def append_deletion(self, key: bytes, time: int) -> int:
        """Add the record of a deletion and return its offset."""
        offset = self.current.append(pack_record(key, b"", self.previous, 0, DELETED, time))
        self.previous = offset
        return offset

    def read(self, file_id: int, offset: int, size: int) -> bytes:
        """Return up to `size` bytes."""
        return self._file(file_id).read(offset, size)

    def record(self, file_id: int, offset: int) -> Record | None:
        """Return the record at an offset, None if the file ends before its value does."""
        file = self._file(file_id)
        found = unpack_record(file.read(offset, RECORD.size + MAX_KEY), offset)
        return found if found and found.end <= file.end else None

    def value(self, file_id: int, record: Record, blob: bytes = b"") -> bytes:
        """Return a record's value after comparing its checksum; `blob` begins with the record."""
        skip = RECORD.size + len(record.key)
        size = skip + record.length
        if len(blob) < size:
            blob = self.read(file_id, record.offset, size)
        value = blob[skip:size]
        if len(value) < record.length or checksum(value) != record.crc:
            raise self.damaged(file_id, record.offset)
        return value

    def damaged(self, file_id: int, offset: int) -> DamagedError:
        """Return the error for a record whose bytes are not what was written."""
        return DamagedError(
            f"cannot read {self._file(file_id).path} at {offset}: the record is damaged",
            hint="`zos zdb check` lists all damage",
        )

    def _file(self, file_id: int) -> LogFile:
        if file_id >= len(self.files):
            raise DamagedError(
                f"cannot read {self.folder / file_name(file_id)}: there is no such file"
            )
        return self.files[file_id]
