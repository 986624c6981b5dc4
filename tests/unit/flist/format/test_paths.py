"""Flists of few bytes whose paths take all memory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flist.errors import FormatError
from flist.format import nodes
from flist.format.database import FlistFile
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import ROOT_INO, Inode
from flist.unpack import plan

NAME = b"n" * 250
DEPTH = 100

READERS: list[tuple[object, Callable[[FlistFile], object]]] = [
    (plan, lambda flist: plan.make_plan(flist, b"/target")),
    (nodes, nodes.load_nodes),
]


@pytest.mark.parametrize("reader", READERS, ids=["plan", "nodes"])
def test_the_paths_of_deep_directories_are_limited(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reader: tuple[object, Callable[[FlistFile], object]],
) -> None:
    inodes = [
        Inode(ino, ino - 1, NAME if ino > ROOT_INO else b"/", 0, 0, 0, 0o40755, 0, 0, 0, 0, 1)
        for ino in range(ROOT_INO, ROOT_INO + DEPTH)
    ]
    write_flist(tmp_path / "deep.fl", Tables(inodes, {}, {}, {}, []))
    module, read = reader
    with FlistFile.open(tmp_path / "deep.fl") as flist:
        read(flist)
        monkeypatch.setattr(module, "MAX_PATHS_BYTES", DEPTH * len(NAME))
        with pytest.raises(FormatError, match="paths"):
            read(flist)
