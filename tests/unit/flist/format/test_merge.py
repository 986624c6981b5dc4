"""What a merge keeps of hard links."""

from pathlib import Path

from flist.format.database import FlistFile
from flist.format.merge import merge
from flist.format.nodes import load_nodes
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import Block, Inode

ROOT = Inode(1, 0, b"/", 4096, 0, 0, 0o40755, 0, 0, 0)


def make(path: Path, *names: bytes) -> Path:
    """Write a flist of one file with these names."""
    one = Inode(2, 1, names[0], 1, 0, 0, 0o100644, 0, 0, 0, 0, len(names))
    more = [one._replace(ino=n, name=name, same_as=2) for n, name in enumerate(names[1:], 3)]
    key = path.name.encode() * 8
    blocks = {inode.ino: [Block(key, key)] for inode in (one, *more)}
    write_flist(path, Tables([ROOT, one, *more], blocks, {}, {}, []))
    return path


def test_names_stay_together_when_another_flist_hides_the_first(tmp_path: Path) -> None:
    metas = [make(tmp_path / "1.fl", b"a"), make(tmp_path / "2.fl", b"a", b"b", b"c", b"d")]
    with FlistFile.open(metas[0]) as first, FlistFile.open(metas[1]) as second:
        write_flist(tmp_path / "3.fl", merge([first, second]))
    with FlistFile.open(tmp_path / "3.fl") as merged:
        nodes = load_nodes(merged)
        found = {path: (n.inode.content_ino, n.inode.nlink) for path, n in nodes.items()}
        ino = nodes[b"/b"].inode.ino
    assert found[b"/a"] == (nodes[b"/a"].inode.ino, 1)
    assert [found[name] for name in (b"/b", b"/c", b"/d")] == [(ino, 3)] * 3
    assert nodes[b"/a"].blocks != nodes[b"/b"].blocks == nodes[b"/d"].blocks
