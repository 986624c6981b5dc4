"""Some of the blocks of a file, read without the others."""

import sqlite3
from pathlib import Path

import pytest

from flist.format.database import FlistFile
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import CHUNK_BYTES, ROOT_INO, Block, Inode

COUNT = 20


def make_flist(path: Path, *, has_checks: bool = True) -> list[Block]:
    """Write a flist of two files; return the blocks of the second one."""
    root = Inode(ROOT_INO, 0, b"/", 0, 0, 0, 0o40755, 0, 0, 0)
    files = [
        Inode(ino, ROOT_INO, b"%d" % ino, COUNT * CHUNK_BYTES, 0, 0, 0o100644, 0, 0, 0)
        for ino in (2, 3)
    ]
    blocks = {
        ino: [
            Block(bytes([ino, n]) * 16, bytes([n, ino]) * 16, bytes([n]) * 32 * has_checks)
            for n in range(COUNT)
        ]
        for ino in (2, 3)
    }
    write_flist(path, Tables([root, *files], blocks, {}, {}, []))
    return blocks[3]


@pytest.mark.parametrize("has_checks", [True, False])
def test_windows_are_the_whole_list(tmp_path: Path, has_checks: bool) -> None:
    blocks = make_flist(tmp_path / "a.fl", has_checks=has_checks)
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert flist.blocks(3) == blocks
        rows = flist.block_rows(3)
        assert rows is not None
        assert len(rows) == COUNT
        for first in range(0, COUNT, 7):
            part = rows[first : first + 7]
            assert flist.blocks_between(3, part, first) == blocks[first : first + 7]
        assert flist.block_rows(1) is None


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM block WHERE rowid = 25",  # a gap
        "UPDATE block SET ino = 2 WHERE rowid = 25",
    ],
)
def test_rows_of_which_some_are_not_the_files_are_refused(tmp_path: Path, change: str) -> None:
    make_flist(tmp_path / "a.fl")
    with sqlite3.connect(tmp_path / "a.fl") as database:
        database.executescript(change)
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert flist.block_rows(3) is None
