"""Several threads ask one flist at once, and each gets the answer to its own question."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flist.database import FlistFile
from flist.model import ROOT_INO, Block, Inode
from flist.writer import Content, write_flist

FILES = 200
THREADS = 16


def test_threads_do_not_get_one_anothers_rows(tmp_path: Path) -> None:
    inodes = [Inode(ROOT_INO, 0, b"/", 4096, 0, 0, 0o40755, 0, 0, 0)]
    blocks = {}
    for ino in range(2, FILES + 2):
        inodes.append(Inode(ino, ROOT_INO, b"%d" % ino, 1, 0, 0, 0o100644, 0, 0, 0))
        blocks[ino] = [Block(ino.to_bytes(32, "big"), bytes(32))]
    write_flist(tmp_path / "a.fl", Content(inodes, blocks, {}, {}, []))

    def ask(number: int) -> int:
        wrong = 0
        for step in range(500):
            ino = 2 + (number * 37 + step) % FILES
            wrong += flist.blocks(ino) != blocks[ino]
            found = flist.inode(ino)
            wrong += found is None or found.ino != ino
        return wrong

    with FlistFile.open(tmp_path / "a.fl") as flist, ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(ask, range(THREADS))) == 0
