"""The identity: every property of the tree changes it, and nothing else does."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flist.format.database import FlistFile
from flist.format.identity import VERSION, hash_parts, identity
from flist.format.nodes import Node, load_nodes, walk_nodes
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import CHUNK_BYTES, NS, Block, Extent, Inode, Meta, Route

T = 5 * NS + 7
ROOT, FILE, FOLDER, LINK, DEVICE, SECOND, LARGE, INNER = range(1, 9)
A, B, C = (Block(name * 32, name.lower() * 32) for name in (b"A", b"B", b"C"))
CHAR, FIFO = 0o020644, 0o010644


def sample() -> Tables:
    """Return a tree with every kind of entry, with a hard link and a sparse file of two chunks."""

    def inode(ino: int, name: bytes, mode: int, size: int = 0, parent: int = ROOT) -> Inode:
        return Inode(ino, parent, name, size, 10, 20, mode, 0, T, T)

    inodes = [
        inode(ROOT, b"/", 0o040755, 4096)._replace(parent=0),
        inode(FILE, b"file", 0o100644, 10)._replace(nlink=2),
        inode(FOLDER, b"folder", 0o040700, 4096),
        inode(LINK, b"link", 0o120777, 4),
        inode(DEVICE, b"null", CHAR)._replace(rdev=259),
        inode(SECOND, b"second", 0o100644, 10)._replace(same_as=FILE, nlink=2),
        inode(LARGE, b"sparse", 0o100644, 2 * CHUNK_BYTES),
        inode(INNER, b"inner", 0o100600, 5, FOLDER),
    ]
    meta = {
        FILE: Meta(xattrs=((b"user.a", b"1"), (b"user.b", b"2"))),
        LINK: Meta(b"file"),
        LARGE: Meta(extents=(Extent(0, 4096), Extent(8192, 100))),
    }
    blocks = {FILE: [A], SECOND: [A], LARGE: [A, B], INNER: [C]}
    return Tables(inodes, blocks, meta, {"version": "1"}, [Route(0, 255, "dir:///x")])


def of(tables: Tables) -> str:
    """Return the identity of a flist."""
    return identity({node.path: node for node in walk_nodes(tables)}).hex()


Change = Callable[[Tables], Tables]


def of_inode(ino: int, **fields: object) -> Change:
    """Return a change of some fields of an inode."""

    def change(tables: Tables) -> Tables:
        inodes = [i._replace(**fields) if i.ino == ino else i for i in tables.inodes]  # type: ignore[arg-type]
        return tables._replace(inodes=inodes)

    return change


def of_meta(ino: int, **fields: object) -> Change:
    """Return a change of an inode's link target, attributes or data ranges."""

    def change(tables: Tables) -> Tables:
        meta = tables.meta.get(ino, Meta())._replace(**fields)  # type: ignore[arg-type]
        return tables._replace(meta={**tables.meta, ino: meta})

    return change


def of_blocks(ino: int, blocks: Sequence[Block]) -> Change:
    """Return a change of a file's blocks, under all its hard links."""
    inos = (FILE, SECOND) if ino == FILE else (ino,)
    return lambda c: c._replace(blocks={**c.blocks, **dict.fromkeys(inos, blocks)})


def add(inode: Inode) -> Change:
    """Return a change that adds an inode."""
    return lambda tables: tables._replace(inodes=[*tables.inodes, inode])


def remove(*inos: int) -> Change:
    """Return a change that removes inodes."""
    return lambda c: c._replace(inodes=[inode for inode in c.inodes if inode.ino not in inos])


EXTRA = Inode(9, ROOT, b"extra", 0, 10, 20, 0o100644, 0, T, T)
COVERED: dict[str, Change] = {
    "name": of_inode(INNER, name=b"other"),
    "name of a folder": of_inode(FOLDER, name=b"other"),
    "folder": of_inode(INNER, parent=ROOT),
    "permissions": of_inode(FILE, mode=0o100645),
    "setuid": of_inode(FILE, mode=0o104644),
    "permissions of the root": of_inode(ROOT, mode=0o040750),
    "type": of_inode(DEVICE, mode=FIFO),
    "owner": of_inode(FILE, uid=11),
    "group": of_inode(FILE, gid=21),
    "owner and group exchanged": of_inode(FILE, uid=20, gid=10),
    "owner of a folder": of_inode(FOLDER, uid=11),
    "owner of a link": of_inode(LINK, uid=11),
    "device": of_inode(DEVICE, rdev=260),
    "time in seconds": of_inode(FILE, mtime_ns=T + NS),
    "time in nanoseconds": of_inode(FILE, mtime_ns=T + 1),
    "time before 1970": of_inode(FILE, mtime_ns=-T),
    "time of the root": of_inode(ROOT, mtime_ns=T + 1),
    "time of a folder": of_inode(FOLDER, mtime_ns=T + 1),
    "time of a link": of_inode(LINK, mtime_ns=T + 1),
    "size": of_inode(INNER, size=6),
    "target": of_meta(LINK, target=b"fil"),
    "attribute's value": of_meta(FILE, xattrs=((b"user.a", b"1"), (b"user.b", b"3"))),
    "attribute's name": of_meta(FILE, xattrs=((b"user.a", b"1"), (b"user.c", b"2"))),
    "attributes' values exchanged": of_meta(FILE, xattrs=((b"user.a", b"2"), (b"user.b", b"1"))),
    "boundary between name and value": of_meta(FILE, xattrs=((b"user.a1", b""), (b"user.b", b"2"))),
    "a missing attribute": of_meta(FILE, xattrs=((b"user.a", b"1"),)),
    "attribute of a folder": of_meta(FOLDER, xattrs=((b"user.a", b"1"),)),
    "attribute of the root": of_meta(ROOT, xattrs=((b"user.a", b"1"),)),
    "attribute of a link": of_meta(LINK, xattrs=((b"trusted.a", b"1"),)),
    "start of data": of_meta(LARGE, extents=(Extent(1, 4096), Extent(8192, 100))),
    "length of data": of_meta(LARGE, extents=(Extent(0, 4095), Extent(8192, 100))),
    "no holes": of_meta(LARGE, extents=None),
    "only a hole": of_meta(LARGE, extents=()),
    "content": of_blocks(INNER, [A]),
    "content of a linked file": of_blocks(FILE, [B]),
    "order of chunks": of_blocks(LARGE, [B, A]),
    "a missing chunk": of_blocks(LARGE, [A]),
    "a chunk twice": of_blocks(LARGE, [A, A]),
    "no blocks": of_blocks(INNER, []),
    "two files instead of a hard link": of_inode(SECOND, same_as=0, nlink=1),
    "an added file": add(EXTRA),
    "an added folder": add(EXTRA._replace(mode=0o040755)),
    "an added hard link": add(EXTRA._replace(same_as=FILE, size=10)),
    "a missing file": remove(INNER),
    "a missing folder": remove(INNER, FOLDER),
    "a missing link": remove(LINK),
    "a missing hard link": remove(SECOND),
}


def renumber(tables: Tables) -> Tables:
    """Return the same tree with other inode numbers, in another order."""
    numbers = {inode.ino: 1000 - inode.ino for inode in tables.inodes} | {0: 0, ROOT: ROOT}
    inodes = [
        inode._replace(
            ino=numbers[inode.ino], parent=numbers[inode.parent], same_as=numbers[inode.same_as]
        )
        for inode in tables.inodes
    ]
    random.Random(1).shuffle(inodes)
    return tables._replace(
        inodes=inodes,
        blocks={numbers[ino]: blocks for ino, blocks in tables.blocks.items()},
        meta={numbers[ino]: meta for ino, meta in tables.meta.items()},
    )


def rename_blocks(tables: Tables) -> Tables:
    """Return the same plain content in blocks with other ids, as of another compressor."""
    blocks = {
        ino: [Block(bytes(32), block.key) for block in each] for ino, each in tables.blocks.items()
    }
    return tables._replace(blocks=blocks)


def name_second_first(tables: Tables) -> Tables:
    """Return the same tree with the two names of the hard-linked file exchanged."""
    swapped = {FILE: SECOND, SECOND: FILE}
    names = {inode.ino: inode.name for inode in tables.inodes}
    inodes = [
        inode._replace(name=names[swapped[inode.ino]]) if inode.ino in swapped else inode
        for inode in tables.inodes
    ]
    return tables._replace(inodes=inodes)


NOT_COVERED: dict[str, Change] = {
    "ctime": of_inode(FILE, ctime_ns=T + 1),
    "ctime of the root": of_inode(ROOT, ctime_ns=0),
    "size of a folder": of_inode(FOLDER, size=12345),
    "size of the root": of_inode(ROOT, size=0),
    "name of the root": of_inode(ROOT, name=b""),
    "number of hard links": of_inode(FILE, nlink=5),
    "one data range that covers the file": of_meta(INNER, extents=(Extent(0, 5),)),
    "inode numbers and their order": renumber,
    "order of hard links": name_second_first,
    "block ids": rename_blocks,
    "blocks of a hard link left out": lambda c: c._replace(
        blocks={ino: blocks for ino, blocks in c.blocks.items() if ino != SECOND}
    ),
    "tags": lambda c: c._replace(tags={"version": "2", "author": "me"}),
    "stores": lambda c: c._replace(routes=[]),
    "parts": lambda c: c._replace(parts={A.id: b"x" * 20}),
    "an inode in no folder": add(EXTRA._replace(parent=999)),
}


@pytest.mark.parametrize("what", COVERED)
def test_a_covered_property_changes_it(what: str) -> None:
    assert of(COVERED[what](sample())) != of(sample())


def test_different_changes_give_different_identities() -> None:
    found = {what: of(change(sample())) for what, change in COVERED.items()}
    assert len(set(found.values())) == len(COVERED)


@pytest.mark.parametrize("what", NOT_COVERED)
def test_an_uncovered_property_does_not_change_it(what: str) -> None:
    changed = NOT_COVERED[what](sample())
    assert changed != sample()
    assert of(changed) == of(sample())


@pytest.mark.parametrize("what", [*COVERED, *NOT_COVERED])
def test_writing_and_reading_keeps_it(tmp_path: Path, what: str) -> None:
    """Everything that it covers is written and read, and the file adds nothing to it."""
    tables = {**COVERED, **NOT_COVERED}[what](sample())
    tables = tables._replace(inodes=sorted(tables.inodes))
    write_flist(tmp_path / "a.fl", tables)
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert identity(load_nodes(flist)).hex() == of(tables)


def test_golden() -> None:
    """If the identity of a tree changes, recorded identities become useless. Then `VERSION` must
    change, too."""
    assert VERSION == b"zero-os flist identity v1"
    assert of(sample()) == "31f2ef62d52acd2bd18a55e6f2020406da3b317fd8ee3585ca92faf9d92217d5"


def test_field_boundaries_are_hashed() -> None:
    cases = [[b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"abc", b""], [b"", b"abc"], []]
    assert len({hash_parts(parts) for parts in cases}) == len(cases)


def test_an_empty_tree_has_an_identity(tmp_path: Path) -> None:
    root = sample().inodes[0]
    node = Node(b"/", root, Meta(), ())
    assert len(identity({b"/": node})) == 32
