"""A flist with all our tables, read as upstream's reader does: with its SQL, its store layout and
its block pipeline, and no code of ours."""

import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import cramjam
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flist.blocks.parts import LARGE_BYTES
from flist.format.database import FlistFile
from flist.format.identity import identity
from flist.format.nodes import load_nodes
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.trees import MIB, describe, make_odd_tree, make_sparse
from tests.helpers.needs import need_root

INODE = "SELECT inode.*, extra.data FROM inode LEFT JOIN extra ON inode.ino = extra.ino WHERE "
PAGE_ROWS = 10
OURS = {"zos_inode", "zos_xattr", "zos_check", "zos_part"}


class Packed(NamedTuple):
    """A tree, and its flist with blocks in two sharded stores."""

    tree: Path
    meta: Path


class Upstream:
    """Runs the queries of upstream's reader (`inode`, `children`, `lookup`, `blocks`, `tag`,
    `routes`), which have no ORDER BY."""

    def __init__(self, meta: Path) -> None:
        self.connection = sqlite3.connect(meta)
        self.connection.row_factory = sqlite3.Row
        for name, value in (("foreign_keys", "ON"), ("journal_mode", "DELETE")):
            self.connection.execute(f"PRAGMA {name} = {value}")

    def ask(self, sql: str, *values: object) -> list[sqlite3.Row]:
        return self.connection.execute(sql, values).fetchall()

    def inode(self, ino: int) -> sqlite3.Row:
        (row,) = self.ask(INODE + "inode.ino = ?;", ino)
        return row

    def children(self, ino: int) -> Iterator[sqlite3.Row]:
        offset = 0
        while rows := self.ask(
            INODE + "inode.parent = ? LIMIT ? OFFSET ?;", ino, PAGE_ROWS, offset
        ):
            yield from rows
            offset += len(rows)

    def lookup(self, ino: int, name: str) -> sqlite3.Row | None:
        rows = self.ask(INODE + "inode.parent = ? AND inode.name = ?;", ino, name)
        return rows[0] if rows else None

    def blocks(self, ino: int) -> list[tuple[bytes, bytes]]:
        rows = self.ask("SELECT id, key FROM block WHERE ino = ?;", ino)
        return [(row["id"], row["key"]) for row in rows]

    def tags(self) -> dict[str, str]:
        return {row["key"]: row["value"] for row in self.ask("SELECT key, value FROM tag;")}

    def tag(self, key: str) -> list[str]:
        return [row["value"] for row in self.ask("SELECT value FROM tag WHERE key = ?;", key)]

    def routes(self) -> list[tuple[int, int, str]]:
        return [tuple(row) for row in self.ask("SELECT start, end, url FROM route;")]

    def walk(self) -> Iterator[tuple[str, sqlite3.Row]]:
        """Yield every path (the root's is ".") and its row."""
        pending = [(".", self.inode(1))]
        for path, row in pending:
            yield path, row
            if stat.S_ISDIR(row["mode"]):
                base = "" if path == "." else path + "/"
                pending += [(base + child["name"], child) for child in self.children(row["ino"])]

    def content(self, ino: int) -> bytes:
        """Return the content of a file, from the stores that the routes name."""
        return b"".join(self.chunk(block_id, key) for block_id, key in self.blocks(ino))

    def chunk(self, block_id: bytes, key: bytes) -> bytes:
        name = block_id.hex()
        places = [url for start, end, url in self.routes() if start <= block_id[0] <= end]
        data = Path(places[0].removeprefix("dir://"), name[:2], name).read_bytes()
        assert blake2b(data, digest_size=32).digest() == block_id
        plain = bytes(cramjam.snappy.decompress_raw(AESGCM(key).decrypt(key[:12], data, None)))
        assert blake2b(plain, digest_size=32).digest() == key
        return plain


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    need_root()
    top = tmp_path_factory.mktemp("upstream")
    tree = make_odd_tree(top / "tree")
    large = hashlib.shake_256(b"large").digest(5 * MIB)
    make_sparse(
        tree / "sub" / "large", LARGE_BYTES + 3 * MIB + 1, [(MIB, large), (20 * MIB, large)]
    )
    (tree / "many").mkdir()
    for number in range(3 * PAGE_ROWS):
        os.mkfifo(tree / "many" / f"{number}")
    words = ["-s", f"00-7f=dir://{top}/low", "-s", f"80-ff=dir://{top}/high"]
    words += ["--tag", "version=1.2", "--tag", "description=naïve 日本", "--tag", "mine=x"]
    rfs("pack", "-m", top / "a.fl", *words, tree)
    return Packed(tree, top / "a.fl")


@pytest.fixture
def upstream(packed: Packed) -> Iterator[Upstream]:
    reader = Upstream(packed.meta)
    with closing(reader.connection):
        yield reader


def as_upstream_keeps(path: str, row: dict[str, Any], size: int) -> dict[str, Any]:
    """Return what upstream's five tables record of an entry of `describe`."""
    kept = {name: row[name] for name in ("mode", "uid", "gid")}
    kept["mtime"] = row["mtime_ns"] // 10**9
    kept["size"] = size
    kept["rdev"] = os.makedev(*row.get("rdev", (0, 0)))
    kept["data"] = row.get("target")
    kept["sha256"] = row.get("sha256")
    return kept


def as_upstream_reads(upstream: Upstream, row: sqlite3.Row) -> dict[str, Any]:
    """Return the entry that upstream's reader makes of a row."""
    found = {name: row[name] for name in ("uid", "gid", "mtime", "size", "rdev", "data")}
    is_file = stat.S_ISREG(row["mode"])
    content = upstream.content(row["ino"]) if is_file else b""
    assert not is_file or len(content) == row["size"]
    digest = hashlib.sha256(content).hexdigest() if is_file else None
    return {**found, "mode": oct(row["mode"]), "sha256": digest}


def test_our_tables_are_there(upstream: Upstream) -> None:
    names = {row["name"] for row in upstream.ask("SELECT name FROM sqlite_master")}
    assert names >= OURS
    assert all(upstream.ask(f"SELECT count(*) FROM {name}")[0][0] > 0 for name in OURS)


def test_tree_attributes_links_and_content(packed: Packed, upstream: Upstream) -> None:
    expected = {}
    for path, row in describe(packed.tree).items():
        place = packed.tree / path
        size = 4096 if place.is_dir() and not place.is_symlink() else place.lstat().st_size
        shown = os.fsencode(path).decode(errors="replace")
        expected[shown] = as_upstream_keeps(path, row, size)
    rows = dict(upstream.walk())
    assert rows.keys() == expected.keys()
    for path, found in rows.items():
        assert as_upstream_reads(upstream, found) == expected[path], path


def test_lookup_finds_every_name_and_no_other(upstream: Upstream) -> None:
    rows = {row["ino"]: row for _, row in upstream.walk()}
    assert rows[1]["parent"] == 0
    for ino, row in rows.items():
        if ino != 1:
            found = upstream.lookup(row["parent"], row["name"])
            assert found is not None
            assert tuple(found) == tuple(row) == tuple(upstream.inode(ino))
    assert upstream.lookup(1, "no such name") is None
    assert upstream.ask(INODE + "inode.ino = ?;", len(rows) + 1) == []


def test_values_have_the_types_that_upstream_decodes(upstream: Upstream) -> None:
    """Numbers are in range, names are text, and targets, ids and keys are bytes."""
    for _, row in upstream.walk():
        assert isinstance(row["name"], str)
        assert isinstance(row["data"], bytes | None)
        assert all(0 <= row[name] < 2**32 for name in ("uid", "gid", "mode"))
        assert all(isinstance(row[name], int) for name in ("size", "rdev", "ctime", "mtime"))
        for block in upstream.blocks(row["ino"]):
            assert [type(value) for value in block] == [bytes, bytes]
            assert [len(value) for value in block] == [32, 32]


def test_tags_and_routes(packed: Packed, upstream: Upstream) -> None:
    assert upstream.tags() == {"version": "1.2", "description": "naïve 日本", "mine": "x"}
    assert upstream.tag("description") == ["naïve 日本"]
    assert upstream.tag("author") == []
    top = packed.meta.parent
    assert upstream.routes() == [(0, 127, f"dir://{top}/low"), (128, 255, f"dir://{top}/high")]


def test_reading_changes_nothing(packed: Packed) -> None:
    before = packed.meta.read_bytes()
    reader = Upstream(packed.meta)
    with closing(reader.connection):
        assert len(list(reader.walk())) > 3 * PAGE_ROWS
    assert packed.meta.read_bytes() == before
    assert sorted(path.name for path in packed.meta.parent.glob("a.fl*")) == ["a.fl"]


def test_changes_by_upstream_keep_our_tables(packed: Packed, tmp_path: Path) -> None:
    """Upstream's `config` adds tags and routes."""
    meta = tmp_path / "b.fl"
    meta.write_bytes(packed.meta.read_bytes())
    writer = Upstream(meta)
    with closing(writer.connection), writer.connection:
        writer.ask("INSERT INTO tag (key, value) VALUES (?, ?);", "author", "somebody")
        writer.ask("INSERT INTO route (start, end, url) VALUES (?, ?, ?);", 0, 255, "dir:///x")
    with FlistFile.open(packed.meta) as old, FlistFile.open(meta) as new:
        assert identity(load_nodes(new)) == identity(load_nodes(old))
        assert new.all_parts() == old.all_parts()
        assert new.tags() == {**old.tags(), "author": "somebody"}
        assert len(new.routes()) == 3
    rfs("verify", "--no-blocks", "-m", meta)
