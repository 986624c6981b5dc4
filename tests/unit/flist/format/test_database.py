"""The `.fl` file: everything written is read back, and wrong values are refused."""

import contextlib
import random
import sqlite3
import tempfile
from collections.abc import Generator
from io import BufferedReader, BytesIO
from pathlib import Path

import pytest

from flist.errors import FlistError, FormatError
from flist.format import sqlitefile
from flist.format.database import BATCH, FlistFile
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import NS, Block, Extent, Inode, Meta, Route
from flist.mount.reader import Reader
from flist.mount.tree import Tree
from flist.store.fetch import Fetcher

ROOT = Inode(1, 0, b"/", 4096, 0, 0, 0o40755, 0, 5 * NS, 5 * NS)


def inode(ino: int, name: bytes, mode: int = 0o100644, parent: int = 1, size: int = 0) -> Inode:
    return Inode(ino, parent, name, size, 10, 20, mode, 0, 7 * NS, 7 * NS)


def sample() -> Tables:
    """Return the tables of a small tree with every kind of entry."""
    block = Block(b"i" * 32, b"k" * 32)
    inodes = [
        ROOT,
        inode(2, b"file", size=10),
        inode(3, b"dir", 0o40700)._replace(mtime_ns=-1),
        inode(4, b"link", 0o120777, size=4),
        inode(5, b"\xff\xfe", parent=3),
        inode(6, b"too", parent=3, size=10)._replace(same_as=2, nlink=2),
        inode(7, "日本".encode(), size=600_000)._replace(mtime_ns=123_456_789),
    ]
    meta = {
        4: Meta(b"file"),
        7: Meta(None, ((b"user.a", b"\0\xff"),), (Extent(0, 5), Extent(4096, 10))),
    }
    blocks = {2: [block], 6: [block], 7: [block, Block(b"j" * 32, b"l" * 32)]}
    tags = {"version": "1", "author": "me"}
    return Tables(inodes, blocks, meta, tags, [Route(0, 255, "dir:///x")])


def test_round_trip(tmp_path: Path) -> None:
    tables = sample()
    write_flist(tmp_path / "a.fl", tables)
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert list(flist.inodes()) == tables.inodes
        for item in tables.inodes:
            assert flist.inode(item.ino) == item
            assert flist.blocks(item.ino) == list(tables.blocks.get(item.ino, []))
            assert flist.meta(item.ino) == tables.meta.get(item.ino, Meta())
        assert flist.tags() == tables.tags
        assert flist.routes() == tables.routes
        assert flist.all_meta() == tables.meta
        tree = Tree(flist)
        assert tree.find(b"/dir/too").content_ino == 2
        assert tree.link_count(tree.inode(1)) == 3
        with pytest.raises(FileNotFoundError):
            tree.find(b"/dir/none")


@pytest.mark.parametrize("seconds", [-(1 << 62), -(1 << 33), -1, 0, 1 << 33, 1 << 62])
def test_extreme_times(tmp_path: Path, seconds: int) -> None:
    file = inode(2, b"file")._replace(mtime_ns=seconds * NS + 7)
    write_flist(tmp_path / "a.fl", Tables([ROOT, file], {}, {}, {}, []))
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert flist.inode(2) == file


def test_a_query_may_be_abandoned_after_the_file_was_closed(tmp_path: Path) -> None:
    """That happens after an error, while its traceback still holds the generator."""
    write_flist(tmp_path / "a.fl", sample())
    with FlistFile.open(tmp_path / "a.fl") as flist:
        rows = flist.stream("SELECT ino FROM inode")
        next(rows)
    assert isinstance(rows, Generator)
    rows.close()


def test_small_blocks_agree_with_blocks(tmp_path: Path) -> None:
    files = [inode(ino, b"%d" % ino, size=10, parent=1 + ino % 2) for ino in range(3, 3 * BATCH)]
    files += [inode(3 * BATCH, b"large", size=600_000), inode(3 * BATCH + 2, b"odd", size=10)]
    blocks = {file.ino: [Block(b"%032d" % file.ino, b"k" * 32)] for file in files}
    for file in files[-2:]:
        blocks[file.ino] *= 2  # for the last file that is wrong, which `blocks` reports
    tables = Tables([ROOT, inode(2, b"dir", 0o40700), *files], blocks, {}, {}, [])
    write_flist(tmp_path / "a.fl", tables)
    with FlistFile.open(tmp_path / "a.fl") as flist:
        found = flist.small_blocks(1, 10)
        assert list(found) == list(range(10, 10 + 2 * BATCH, 2))
        assert all([block] == flist.blocks(ino) for ino, block in found.items())
        assert list(flist.small_blocks(1, 3 * BATCH - 2)) == [3 * BATCH - 2]
        reader = Reader(Tree(flist), Fetcher(None, None))
        reader.expect(files[0])
        assert reader.lists.keys() == flist.small_blocks(2, 3).keys()
        with pytest.raises(FormatError, match="2 blocks"):
            reader.blocks(files[-1])


def test_large_folders_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flist.format.database.LARGE_FOLDER", 3)
    write_flist(tmp_path / "a.fl", sample())
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert Tree(flist).large_folders == {1}


def test_writing_is_reproducible(tmp_path: Path) -> None:
    for name in "ab":
        write_flist(tmp_path / name, sample())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_plain_tree_has_only_upstreams_tables(tmp_path: Path) -> None:
    plain = Tables([ROOT, inode(2, b"a")], {}, {}, {}, [])
    write_flist(tmp_path / "a.fl", plain)
    with sqlite3.connect(tmp_path / "a.fl") as database:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    database.close()
    names = {name for (name,) in rows}
    assert names == {"inode", "extra", "block", "tag", "route", "sqlite_sequence"}


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b", b"x" * 256])
def test_forbidden_names_are_refused(tmp_path: Path, name: bytes) -> None:
    write_flist(tmp_path / "a.fl", Tables([ROOT, inode(2, name)], {}, {}, {}, []))
    with FlistFile.open(tmp_path / "a.fl") as flist, pytest.raises(FormatError):
        flist.children(1)


CHANGES = [
    "UPDATE inode SET size = -1 WHERE ino = 2",
    "UPDATE inode SET size = 'big' WHERE ino = 2",
    "UPDATE inode SET mode = 1048576 WHERE ino = 2",
    "UPDATE inode SET uid = -1 WHERE ino = 2",
    "UPDATE inode SET name = NULL WHERE ino = 2",
    "UPDATE inode SET mtime = 9223372036854775807 WHERE ino = 2",
    "UPDATE inode SET rdev = -5 WHERE ino = 2",
    "UPDATE zos_inode SET same_as = -1",
    "UPDATE zos_inode SET name = 'x/y'",
]


@pytest.mark.parametrize("change", CHANGES)
def test_values_out_of_range_are_refused(tmp_path: Path, change: str) -> None:
    write_flist(tmp_path / "a.fl", sample())
    with sqlite3.connect(tmp_path / "a.fl") as database:
        database.execute(change)
    database.close()
    with FlistFile.open(tmp_path / "a.fl") as flist, pytest.raises(FormatError):
        list(flist.inodes())


def test_a_root_that_is_its_own_parent_has_no_entries(tmp_path: Path) -> None:
    write_flist(tmp_path / "a.fl", Tables([ROOT._replace(parent=1)], {}, {}, {}, []))
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert flist.children(1) == []


def test_views_are_refused(tmp_path: Path) -> None:
    """A view could run any query, for any time."""
    with sqlite3.connect(tmp_path / "a.fl") as database:
        for table in ("inode", "extra", "block", "tag"):
            database.execute(f"CREATE TABLE {table} (a)")
        database.execute("CREATE VIEW route AS SELECT 1")
    database.close()
    with pytest.raises(FormatError, match="no table route"):
        FlistFile.open(tmp_path / "a.fl")


def test_a_file_that_is_not_a_flist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.fl").write_bytes(b"nothing")
    with pytest.raises(FormatError):
        FlistFile.open(tmp_path / "a.fl")
    with pytest.raises(FlistError, match="No such file"):
        FlistFile.open(tmp_path / "b.fl")


def test_damaged_files_never_crash(tmp_path: Path) -> None:
    """A damaged file gives values or `FormatError`, and nothing else."""
    write_flist(tmp_path / "a.fl", sample())
    good = (tmp_path / "a.fl").read_bytes()
    dice = random.Random(1)
    refused = 0
    for number in range(300):
        data = bytearray(good)
        if number % 3 == 0:
            del data[dice.randrange(len(data)) :]
        else:
            for _ in range(dice.randrange(1, 20)):
                data[dice.randrange(len(data))] = dice.randrange(256)
        (tmp_path / "b.fl").write_bytes(data)
        try:
            with FlistFile.open(tmp_path / "b.fl") as flist:
                for item in flist.inodes():
                    flist.blocks(item.ino)
                    flist.children(item.ino)
                flist.all_meta()
                flist.routes()
                flist.tags()
                flist.totals()
        except FormatError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("in_memory_bytes", [1 << 20, 0])
def test_an_open_flist_keeps_its_content_when_the_file_is_overwritten_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory_bytes: int
) -> None:
    """Whether its copy is in memory or in a temporary file."""
    monkeypatch.setattr(sqlitefile, "IN_MEMORY_BYTES", in_memory_bytes)
    tables = many_files(b"old")
    write_flist(tmp_path / "a.fl", tables)
    write_flist(tmp_path / "b.fl", many_files(b"new"))
    files = {path.name for path in Path(tempfile.gettempdir()).glob("flist-*")}
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert {path.name for path in Path(tempfile.gettempdir()).glob("flist-*")} <= files
        assert flist.inode(2) == tables.inodes[1]
        (tmp_path / "a.fl").write_bytes((tmp_path / "b.fl").read_bytes())
        assert list(flist.inodes()) == tables.inodes
        (tmp_path / "a.fl").write_bytes(b"")
        assert flist.children(1) == tables.inodes[1:]


def many_files(prefix: bytes) -> Tables:
    """Return the tables of a flist of several hundred pages."""
    files = [inode(ino, prefix + b"-%d-" % ino + b"x" * 200) for ino in range(2, 2000)]
    return Tables([ROOT, *files], {}, {}, {}, [])


def test_without_room_for_a_temporary_file_the_copy_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlitefile, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    write_flist(tmp_path / "a.fl", sample())
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert list(flist.inodes()) == sample().inodes


@pytest.mark.parametrize("in_memory_bytes", [1 << 20, 0])
def test_a_flist_in_wal_mode_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory_bytes: int
) -> None:
    monkeypatch.setattr(sqlitefile, "IN_MEMORY_BYTES", in_memory_bytes)
    write_flist(tmp_path / "a.fl", sample())
    with contextlib.closing(sqlite3.connect(tmp_path / "a.fl")) as database:
        database.execute("PRAGMA journal_mode = WAL")
    assert (tmp_path / "a.fl").read_bytes()[18:20] == b"\2\2"
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert list(flist.inodes()) == sample().inodes


def test_a_flist_that_changes_while_it_is_copied_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flist(tmp_path / "a.fl", sample())
    copy_to_memory = sqlitefile.copy_to_memory

    def copy_slowly(stream: BufferedReader, size: int) -> BytesIO:
        copy = copy_to_memory(stream, size)
        (tmp_path / "a.fl").write_bytes(copy.getvalue() + bytes(4096))
        return copy

    monkeypatch.setattr(sqlitefile, "copy_to_memory", copy_slowly)
    with pytest.raises(FlistError, match="it changed while it was read"):
        FlistFile.open(tmp_path / "a.fl")


def test_one_entry_of_a_large_directory_is_found_without_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also names that are not UTF-8, of which the column has only an approximation."""
    names = [b"%d" % number for number in range(100)] + [b"\xff", b"\xfe", "\ufffd".encode()]
    files = [inode(ino, name) for ino, name in enumerate(names, 3)]
    other = inode(2, b"dir", 0o40755)
    elsewhere = [inode(500, b"7", parent=2), inode(501, b"only", parent=2)]
    write_flist(tmp_path / "a.fl", Tables([ROOT, other, *files, *elsewhere], {}, {}, {}, []))
    with FlistFile.open(tmp_path / "a.fl") as flist:
        monkeypatch.setattr("flist.format.database.LARGE_FOLDER", 103)
        assert flist.is_large(1)
        monkeypatch.setattr("flist.format.database.LARGE_FOLDER", 104)
        assert not flist.is_large(1)
        monkeypatch.setattr("flist.format.database.LARGE_FOLDER", 50)
        tree = Tree(flist)
        for file in (*files, other):
            assert tree.lookup(1, file.name) == file
        assert tree.lookup(1, b"only") is None and tree.lookup(1, b"/") is None
        assert not tree.directories  # nothing was listed
        assert tree.lookup(2, b"7") == elsewhere[0]
        assert list(tree.directories) == [2]
