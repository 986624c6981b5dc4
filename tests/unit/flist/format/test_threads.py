"""Several threads query one flist at once, also while it is closed."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flist.errors import FormatError
from flist.format.database import FlistFile
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import ROOT_INO, Block, Inode

FILES = 200
THREADS = 16


@pytest.fixture(name="meta")
def make_flist(tmp_path: Path) -> Path:
    """Write a flist of many files, each with a block whose id is its inode number."""
    inodes = [Inode(ROOT_INO, 0, b"/", 4096, 0, 0, 0o40755, 0, 0, 0)]
    for ino in range(2, FILES + 2):
        inodes.append(Inode(ino, ROOT_INO, b"%d" % ino, 1, 0, 0, 0o100644, 0, 0, 0))
    blocks = {ino: block_list(ino) for ino in range(2, FILES + 2)}
    write_flist(tmp_path / "a.fl", Tables(inodes, blocks, {}, {}, []))
    return tmp_path / "a.fl"


def block_list(ino: int) -> list[Block]:
    """Return the blocks of a file."""
    return [Block(ino.to_bytes(32, "big"), bytes(32))]


def test_each_thread_gets_the_rows_of_its_own_query(meta: Path) -> None:
    def ask(number: int) -> int:
        wrong = 0
        for step in range(500):
            ino = 2 + (number * 37 + step) % FILES
            wrong += flist.blocks(ino) != block_list(ino)
            found = flist.inode(ino)
            wrong += found is None or found.ino != ino
        return wrong

    with FlistFile.open(meta) as flist, ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(ask, range(THREADS))) == 0


def test_closing_waits_for_a_running_query(meta: Path) -> None:
    """Without the wait, Python's sqlite3 module crashes with SIGSEGV."""

    def ask_on(flist: FlistFile, has_begun: threading.Event) -> str:
        for step in itertools.count():
            try:
                assert flist.blocks(2 + step % FILES) == block_list(2 + step % FILES)
            except FormatError as error:
                return error.message
            has_begun.set()
        raise AssertionError

    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            flist, has_begun = FlistFile.open(meta), threading.Event()
            asked = [pool.submit(ask_on, flist, has_begun) for _ in range(4)]
            assert has_begun.wait(60)
            flist.close()
            ends = [future.result(60) for future in asked]
            assert all("closed" in message for message in ends), ends
