"""Damaged and malicious older flists: they are read, or refused with a message of one line."""

import gzip
import io
import os
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flist.errors import FlistError, FormatError
from flist.format.legacy.flist import LegacyFlist
from flist.format.legacy.records import RecordReader
from flist.format.opening import open_flist
from flist.model import ROOT_INO
from tests.helpers.flist.legacy import (
    Record,
    directory,
    directory_key,
    entry,
    message,
    rights_record,
    write_legacy,
)

EXAMPLES = int(os.environ.get("ZOS_FUZZ_EXAMPLES", "100"))
bounded = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=EXAMPLES <= 100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
FLIPS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)),
    min_size=1, max_size=6,
)  # fmt: skip
FOLDERS = ("", "sub", "sub/deeper")
ROUTER = b"pools: {p: {'00:7f': 'zdb://a:1', '80:ff': 'zdb://b:1'}}\nlookup: [p]\n"


def make_records() -> dict[str, Record]:
    """Return the records of a flist with every kind of entry."""
    block = Record(b"", (b"i" * 16, b"k" * 16))
    chunks = Record(b"\x80" + bytes(7), ([block, block],))
    entries = [
        entry("file", 1, 600_000, chunks, "acl"),
        entry("link", 2, 0, Record(b"", (b"file\0",)), "acl"),
        entry("device", 3, 0, Record(bytes(8), (b"1,3",)), "none"),
    ]
    records = {"acl": rights_record(0o100640, 1, 2), "named": rights_record(0o755, -1, -1)}
    for name, child in zip(FOLDERS, (*FOLDERS[1:], None), strict=True):
        below = [] if child is None else [entry("below", 0, 0, Record(b"", (key(child),)), "acl")]
        records[directory_key(name)] = directory(name, [*entries, *below], "named")
    return records


def key(path: str) -> bytes:
    """Return the key of a directory as a text field of a record."""
    return directory_key(path).encode() + b"\0"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("legacy") / "whole.flist"
    metadata = {"backend": '{"host": "h", "port": 1}', "entrypoint": '["/bin/sh"]'}
    write_legacy(path, make_records(), metadata, ROUTER)
    return path


def database_of(sample: Path) -> bytes:
    """Return the SQLite file in the archive."""
    with tarfile.open(sample) as archive:
        stream = archive.extractfile("./flistdb.sqlite3")
        assert stream is not None
        return stream.read()


def archive(path: Path, database: bytes) -> Path:
    """Write an older flist with this SQLite file."""
    with tarfile.open(path, "w:gz", compresslevel=1) as stream:
        member = tarfile.TarInfo("flistdb.sqlite3")
        member.size = len(database)
        stream.addfile(member, io.BytesIO(database))
    return path


def flip(data: bytes, flips: list[tuple[float, bytes]]) -> bytes:
    """Return `data` with bytes replaced at some places."""
    changed = bytearray(data)
    for place, value in flips:
        start = int(place * len(data))
        changed[start : start + len(value)] = value
    return bytes(changed)


def exercise(path: Path) -> bool:
    """Read everything from an older flist; return whether it could be opened."""
    try:
        with open_flist(path) as flist:
            ask_all(flist)
    except FlistError as error:
        assert error.message
        return False
    return True


def ask_all(flist: Any) -> None:
    """Read everything that a mount and `convert` read."""
    for inode in flist.inodes():
        assert b"/" not in inode.name or inode.ino == ROOT_INO
        flist.children(inode.ino), flist.blocks(inode.ino), flist.meta(inode.ino)
    flist.routes(), flist.tags(), flist.totals(), flist.folder_counts(), list(flist.all_blocks())


def test_the_undamaged_flist_is_read_completely(sample: Path) -> None:
    with LegacyFlist.open(sample) as flist:
        assert flist.totals() == (12, 3 * 600_000)
        assert [route.url for route in flist.routes()] == ["zdb://a:1", "zdb://b:1"]
    assert exercise(sample)


@bounded
@given(flips=FLIPS)
def test_archives_with_flipped_bytes(sample: Path, tmp_path: Path, flips: Any) -> None:
    path = tmp_path / "damaged.flist"
    path.write_bytes(b"\x1f\x8b" + flip(sample.read_bytes(), flips)[2:])
    exercise(path)


@bounded
@given(flips=FLIPS, length=st.floats(0, 1))
def test_archives_damaged_before_compression(
    sample: Path, tmp_path: Path, flips: Any, length: float
) -> None:
    """The gzip checksum is right, but the tar inside is damaged."""
    tar = flip(gzip.decompress(sample.read_bytes()), flips)
    path = tmp_path / "damaged.flist"
    path.write_bytes(gzip.compress(tar[: int(length * len(tar))], 1))
    exercise(path)


@bounded
@given(flips=FLIPS)
@example(flips=[(0.0, b"SQLite format 3\0\xff\xff")])
def test_databases_with_flipped_bytes(sample: Path, tmp_path: Path, flips: Any) -> None:
    exercise(archive(tmp_path / "damaged.flist", flip(database_of(sample), flips)))


@bounded
@given(place=st.integers(0, 400), value=st.binary(min_size=1, max_size=3))
def test_a_schema_with_flipped_bytes(
    sample: Path, tmp_path: Path, place: int, value: bytes
) -> None:
    """SQLite's errors repeat the names of tables and columns, which may then not be UTF-8."""
    database = database_of(sample)
    start = database.index(b"CREATE TABLE") - 60 + place
    damaged = database[:start] + value + database[start + len(value) :]
    exercise(archive(tmp_path / "damaged.flist", damaged))


@bounded
@given(flips=FLIPS, name=st.sampled_from(["acl", "named", *map(directory_key, FOLDERS)]))
def test_records_with_flipped_bytes(tmp_path: Path, flips: Any, name: str) -> None:
    records = {name: message(record) for name, record in make_records().items()}
    records[name] = flip(records[name], flips)
    try:
        decoded = RecordReader(tmp_path, records).run()
    except FormatError:
        return
    ask_all(LegacyFlist(tmp_path, decoded, {}))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sqlite_master SET name = CAST(x'ff656e' AS TEXT) WHERE name = 'entries'",
        "UPDATE sqlite_master SET sql = CAST('CREATE TABLE entries (key, ' || x'ff' AS TEXT)",
        "INSERT INTO entries VALUES (CAST(x'ff' AS TEXT), x'00')",
        "INSERT INTO metadata VALUES ('readme', CAST(x'ff' AS TEXT))",
        "INSERT INTO entries VALUES ('text', 'no bytes')",
        "DROP TABLE entries; CREATE VIEW entries AS SELECT 1 AS key, x'00' AS value",
        (
            "DROP TABLE entries; CREATE TABLE entries (key, value AS (zeroblob(900000000)));"
            "INSERT INTO entries VALUES ('a'), ('b'), ('c')"
        ),
    ],
)
def test_malicious_databases_are_refused(sample: Path, tmp_path: Path, statement: str) -> None:
    path = tmp_path / "database"
    path.write_bytes(database_of(sample))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    connection.executescript(statement)
    connection.close()
    assert not exercise(archive(tmp_path / "made.flist", path.read_bytes()))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_is_not_read_into_memory_whatever_its_size(tmp_path: Path, kind: bytes) -> None:
    long = tarfile.TarInfo("long")
    long.type, long.size = kind, 1 << 30
    place = tmp_path / "a.flist"
    with gzip.open(place, "wb", compresslevel=1) as stream:
        stream.write(long.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(64):
            stream.write(bytes(1 << 20))
    with pytest.raises(FormatError, match="headers in it are too large"):
        open_flist(place)


def test_impossible_user_names_give_the_default_owner(tmp_path: Path) -> None:
    """User names are looked up on this machine, where `getpwnam` refuses a zero byte."""
    record = rights_record(0o755, -1, -1)
    for name in (b"ro\0ot\0", b"\xff\0", b"u" * 70_000):
        records = make_records() | {"named": record._replace(pointers=(name, name, None))}
        messages = {name: message(record) for name, record in records.items()}
        assert RecordReader(tmp_path, messages).run().inodes[ROOT_INO].uid == 1000
