"""`zdb dump`: what is in a file of a namespace, a line for each record or entry."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zdb.errors import ZdbError
from zdb.format import data as data_format
from zdb.format import index as index_format
from zdb.format import namespace as descriptor
from zdb.storage.files import Disk, Handles, LogFile
from zdb.storage.index_files import IndexFiles
from zdb.storage.walk import Damage, walk

Row = dict[str, Any]


def dump(path: Path) -> Iterator[Row]:
    """Yield the header of a file and its records or entries; bytes are in hexadecimal digits."""
    file = LogFile(path, Handles(Disk(), writable=False))
    file.open()
    magic = file.read(0, 4)
    try:
        if magic == data_format.MAGIC:
            yield from dump_data(file)
        elif magic == index_format.MAGIC:
            yield from dump_index(file)
        elif path.name == descriptor.NAME:
            yield dump_descriptor(file)
        else:
            raise ZdbError(f"cannot read {path}: neither a data nor an index file of Zero-DB")
    finally:
        file.close()


def dump_data(file: LogFile) -> Iterator[Row]:
    """Yield the header and the records of a data file."""
    _, version, created, _, number = data_format.HEADER.unpack(
        file.read(0, data_format.HEADER.size)
    )
    yield {"file": "data", "version": version, "created": created, "number": number}
    for item in walk(file, data_format.HEADER.size, None):
        if isinstance(item, Damage) and item.record is None:
            yield {"offset": item.offset, "damaged": item.end - item.offset}
            continue
        record = item.record if isinstance(item, Damage) else item
        assert record is not None
        row = record._asdict() | {"key": record.key.hex(), "crc": f"{record.crc:08x}"}
        yield row | ({"damaged": "value"} if isinstance(item, Damage) else {})


def dump_index(file: LogFile) -> Iterator[Row]:
    """Yield the header and the entries of an index file."""
    head = index_format.HEADER.unpack(file.read(0, index_format.HEADER.size))
    names = ("version", "created", "opened", "number", "mode")
    yield {"file": "index"} | dict(zip(names, head[1:], strict=True))
    index = IndexFiles(file.path.parent, Handles(Disk(), writable=False))
    index.files.append(file)
    index.last.append(0)
    offset = index_format.HEADER.size
    while chunk := index.chunk(0, offset):
        for place, entry in chunk:
            offset = place + entry.size
            yield (
                {"at": place}
                | entry._asdict()
                | {
                    "key": entry.key.hex(),
                    "crc": f"{entry.crc:08x}",
                }
            )


def dump_descriptor(file: LogFile) -> Row:
    """Return what is in a descriptor, but for the password."""
    found = descriptor.unpack(file.read(0, 1024), str(file.path))
    return {
        "file": "namespace",
        "name": found.name,
        "has_password": bool(found.password),
        "maxsize": found.maxsize,
        "public": found.public,
        "worm": found.worm,
    }
