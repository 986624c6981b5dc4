"""Flists that are broken as a whole: `verify` names each fault, and nothing uses their tree."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from flist.errors import FlistError, FormatError
from flist.format.checker import load_tables
from flist.format.database import FlistFile
from flist.format.writer import write_flist
from flist.mount.tree import Tree
from flist.store.sources import Sources
from flist.unpack.unpack import unpack
from flist.unpack.verify import verify
from tests.unit.flist.format.test_database import sample

TREE_FAULTS = [
    ("DELETE FROM extra", "/link: a symbolic link without a target"),
    ("UPDATE extra SET data = ''", "/link: a symbolic link without a target"),
    ("UPDATE zos_inode SET same_as = 5 WHERE ino = 6", "/dir/too: another name of inode 5"),
    ("UPDATE zos_inode SET same_as = 77 WHERE ino = 6", "/dir/too: another name of inode 77"),
    ("UPDATE inode SET name = 'dir' WHERE ino = 2", "/dir: it is there twice"),
]
OTHER_FAULTS = [
    ("UPDATE inode SET parent = 99 WHERE ino = 2", "inode 2 ('file') is in no directory"),
    ("UPDATE inode SET parent = 2 WHERE ino = 7", "inode 7 ('日本') is in no directory"),
    ("UPDATE inode SET parent = 3 WHERE ino = 3", "inode 3 ('dir') is in no directory"),
    ("INSERT INTO extra VALUES (2, 'x')", "/file: a link's target"),
    ("DELETE FROM block WHERE ino = 7", "0 blocks for 600000 bytes"),
    ("UPDATE block SET ino = 3 WHERE ino = 7", "/dir: blocks, but it is not a file"),
    ("UPDATE block SET id = randomblob(32) WHERE ino = 6", "/dir/too: other blocks"),
    ("INSERT INTO block VALUES (50, randomblob(32), randomblob(32))", "inode 50 has blocks"),
    ("INSERT INTO zos_xattr VALUES (51, x'41', x'41')", "inode 51 has blocks or properties"),
]


def broken(folder: Path, changes: Sequence[str]) -> Path:
    """Return a flist that was changed by SQL statements."""
    path = folder / "a.fl"
    write_flist(path, sample())
    database = sqlite3.connect(path, isolation_level=None)
    for change in changes:
        database.execute(change)
    database.close()
    return path


@pytest.mark.parametrize(("change", "fault"), TREE_FAULTS)
def test_a_broken_tree_is_refused(tmp_path: Path, change: str, fault: str) -> None:
    path = broken(tmp_path, [change])
    report = verify(path, None)
    assert any(fault in text for text in report.faults), report.faults
    with pytest.raises(FormatError, match="cannot read"):
        unpack(path, tmp_path / "out", Sources(["dir:///none"], None, wait_s=0))
    assert not (tmp_path / "out").exists()
    with FlistFile.open(path) as flist, pytest.raises(FormatError):
        load_tables(flist)


@pytest.mark.parametrize(("change", "fault"), OTHER_FAULTS)
def test_verify_names_what_nothing_uses(tmp_path: Path, change: str, fault: str) -> None:
    faults = verify(broken(tmp_path, [change]), None).faults
    assert any(fault in text for text in faults), faults


def test_a_good_flist_has_no_faults(tmp_path: Path) -> None:
    assert verify(broken(tmp_path, []), None).faults == []


def with_lying_index(folder: Path, index: str, table_sql: str, rows: str) -> Path:
    """Return a flist whose index `index` has the entries of another table, of form `table_sql`,
    filled from `rows`."""
    path = broken(folder, [])
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA writable_schema = ON")
    database.execute(table_sql)
    database.execute(f"INSERT INTO lie {rows}")
    database.execute("CREATE INDEX false ON lie (a)")
    sql = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    true, false = (database.execute(sql, (name,)).fetchone()[0] for name in (index, "false"))
    change = "UPDATE sqlite_master SET rootpage = ? WHERE name = ?"
    database.execute(change, (false, index))
    database.execute(change, (true, "false"))
    database.close()
    return path


LIE = "CREATE TABLE lie (ino INTEGER PRIMARY KEY, a INTEGER)"


def test_a_directory_is_never_read_by_a_lying_index(tmp_path: Path) -> None:
    """The index says that the entries of /dir are in /."""
    path = with_lying_index(tmp_path, "parents", LIE, "SELECT ino, 4 - parent FROM inode")
    with FlistFile.open(path) as flist:
        assert len(list(flist.inodes())) == 7 and len(load_tables(flist).inodes) == 7
        with pytest.raises(FormatError, match="an index does not match"):
            Tree(flist).entries(1)
    assert any("index parents" in text for text in verify(path, None).faults)


def test_a_file_is_never_read_by_a_lying_index(tmp_path: Path) -> None:
    """The index gives two files each other's blocks."""
    path = with_lying_index(
        tmp_path, "block_ino", LIE, "SELECT rowid, CASE ino WHEN 2 THEN 7 ELSE 2 END FROM block"
    )
    with FlistFile.open(path) as flist:
        with pytest.raises(FormatError, match="an index does not match"):
            flist.blocks(2)
        assert flist.small_blocks(1, 2) == {}
        assert {ino for ino, _ in flist.all_blocks()} == {2, 6, 7}


def test_a_covering_index_is_not_believed(tmp_path: Path) -> None:
    """An index that has all columns of a query would answer it alone."""
    path = with_lying_index(tmp_path, "block_ino", LIE, "SELECT rowid, ino FROM block")
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("CREATE INDEX cover ON block (ino, id, key)")
    database.execute("CREATE TABLE other (ino, id, key)")
    database.execute("INSERT INTO other SELECT ino, zeroblob(32), key FROM block")
    database.execute("CREATE INDEX wrong ON other (ino, id, key)")
    database.execute("PRAGMA writable_schema = ON")
    sql = "SELECT rootpage FROM sqlite_master WHERE name = 'wrong'"
    change = f"UPDATE sqlite_master SET rootpage = ({sql}) WHERE name = 'cover'"
    database.execute(change)
    database.close()
    with FlistFile.open(path) as flist:
        assert flist.blocks(2)[0].id == b"i" * 32
        assert next(block.id for _, block in flist.all_blocks()) == b"i" * 32


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE extra (ino INTEGER, data TEXT)",
        "CREATE TABLE extra (ino INTEGER PRIMARY KEY DESC, data TEXT)",
        "CREATE TABLE extra (ino INTEGER PRIMARY KEY, data TEXT, rowid INTEGER)",
    ],
)
def test_a_table_without_the_right_key_is_refused(tmp_path: Path, sql: str) -> None:
    path = broken(tmp_path, ["DROP TABLE extra", sql])
    with pytest.raises(FlistError, match="table extra"):
        FlistFile.open(path)
