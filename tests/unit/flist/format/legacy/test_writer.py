"""The writer of older flists, checked by its reader and by an independent reader of Cap'n Proto."""

import json
import os
import sqlite3
import stat
import tarfile
from hashlib import blake2b
from pathlib import Path
from typing import Any

import capnp
import pytest

from flist.errors import FlistError
from flist.format.legacy import encode
from flist.format.legacy.archive import extract_database, read_records
from flist.format.legacy.blocks import encode_legacy
from flist.format.legacy.capnp import MAX_MESSAGE_BYTES
from flist.format.legacy.cipher import (
    decrypt_here,
    decrypt_words,
    encrypt_here,
    encrypt_words,
)
from flist.format.legacy.flist import LegacyFlist
from flist.format.legacy.writer import find_losses, write_legacy
from flist.format.opening import open_flist
from flist.format.tables import Tables, read_tables
from flist.model import CHUNK_BYTES, NS, Block, Inode, Meta, Route
from tests.helpers.checkout import TOP
from tests.helpers.flist.legacy import directory_key

SCHEMA = TOP / "tests/helpers/flist/older.capnp"
TIME = 1_600_000_000
ZDB = Route(0, 255, "zdb://hub.example:9900/ns")


def inode(ino: int, parent: int, name: str, mode: int, size: int = 0, **more: Any) -> Inode:
    return Inode(ino, parent, os.fsencode(name), size, more.pop("uid", 0), more.pop("gid", 0), mode,
                 more.pop("rdev", 0), TIME * NS, (TIME + 1) * NS, **more)  # fmt: skip


def block(number: int) -> Block:
    return Block(bytes([number]) * 16, bytes([255 - number]) * 16)


def make_tables(**more: Any) -> Tables:
    """Return a flist with every kind of entry."""
    inodes = [
        inode(1, 0, "/", 0o40755, 4096),
        inode(2, 1, "dir", 0o41777, 4096, uid=1000, gid=4_000_000_000),
        inode(3, 1, "file", 0o104755, CHUNK_BYTES + 5, uid=7, gid=8),
        inode(4, 1, "link", 0o120777, 6),
        inode(5, 1, "block", 0o60660, rdev=os.makedev(259, 70000)),
        inode(6, 1, "char", 0o20666, rdev=os.makedev(1, 3)),
        inode(7, 1, "pipe", 0o10644),
        inode(8, 1, "socket", 0o140755),
        inode(9, 2, "deeper", 0o40000, 4096),
        inode(10, 2, "empty", 0o100000),
        inode(11, 2, "na\udcffme", 0o100644, 5),
    ]
    blocks = {3: [block(1), block(2)], 11: [block(3)]}
    tables = Tables(inodes, blocks, {4: Meta(b"file\xff")}, {"readme": '{"readme": "x"}'}, [ZDB])
    return tables._replace(**more)


def read(path: Path) -> Tables:
    with open_flist(path) as flist:
        assert isinstance(flist, LegacyFlist)
        found = read_tables(flist)
    return found._replace(blocks={i: list(b) for i, b in found.blocks.items() if b})


def records_of(path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    database = path.with_name("database")
    extract_database(path, database, path)
    return read_records(path, database)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.flist"
    tables = make_tables()
    fixed = [one._replace(size=5) if one.is_link else one for one in tables.inodes]
    write_legacy(path, tables)
    assert read(path) == tables._replace(inodes=fixed)  # a link's size is that of its target


def test_an_independent_reader_finds_the_same(tmp_path: Path) -> None:
    schema = capnp.load(str(SCHEMA))
    write_legacy(tmp_path / "a.flist", make_tables())
    records, metadata = records_of(tmp_path / "a.flist")
    assert json.loads(metadata["backend"]) == {
        "host": "hub.example", "port": 9900, "namespace": "ns",
    }  # fmt: skip
    with schema.Dir.from_bytes(records[directory_key("")]) as root:
        assert (root.name, root.location, root.parent) == ("", "", directory_key(""))
        assert (root.size, root.modified, root.created) == (4096, TIME + 1, TIME)
        by_name = {entry.name: entry for entry in root.contents}
        kinds = {name: str(entry.which()) for name, entry in by_name.items()}
        assert kinds == {
            "dir": "dir", "file": "file", "link": "link", "block": "special", "char": "special",
            "pipe": "special", "socket": "special",
        }  # fmt: skip
        assert by_name["dir"].dir.key == directory_key("dir")
        file = by_name["file"]
        assert (file.size, file.file.pages, file.modified) == (CHUNK_BYTES + 5, 128, TIME + 1)
        found = [Block(bytes(one.hash), bytes(one.key)) for one in file.file.blocks]
        assert found == [block(1), block(2)]
        special = {
            name: (entry.special.type, bytes(entry.special.data))
            for name, entry in by_name.items()
            if kinds[name] == "special"
        }
        assert special == {
            "socket": (0, b"(nothing)"), "block": (1, b"259,70000"), "char": (2, b"1,3"),
            "pipe": (3, b"(nothing)"),
        }  # fmt: skip
        access_of_root = root.aclkey
    with schema.Dir.from_bytes(records[directory_key("dir")]) as folder:
        assert (folder.name, folder.location, folder.parent) == ("dir", "dir", directory_key(""))
        text = "user:1000\ngroup:4000000000\nmode:0o1777\nuid:1000\ngid:4000000000"
        assert folder.aclkey == blake2b(text.encode(), digest_size=8).hexdigest()
        with schema.Access.from_bytes(records[folder.aclkey]) as access:
            assert (access.user, access.group) == ("1000", "4000000000")
            assert (access.mode, access.uid, access.gid) == (0o1777, 1000, 4_000_000_000)
    with schema.Dir.from_bytes(records[directory_key("dir/deeper")]) as folder:
        assert (folder.location, folder.parent) == ("dir/deeper", directory_key("dir"))
        assert len(folder.contents) == 0
    text = "user:root\ngroup:root\nmode:0o755\nuid:0\ngid:0"
    assert access_of_root == blake2b(text.encode(), digest_size=8).hexdigest()
    with schema.Access.from_bytes(records[access_of_root]) as access:
        assert (access.user, access.mode, access.uid, access.gid) == ("root", 0o755, 0, 0)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "a.flist", tmp_path / "other.flist"
    routes = [ZDB._replace(end=127), Route(128, 255, "zdb://two.example:1")]
    for path in (one, two):
        write_legacy(path, make_tables(routes=routes))
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes()[3:8] == bytes(5)  # no flags, so no name, and no time
    with tarfile.open(one) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == ["./flistdb.sqlite3", "./router.yaml"]
    assert all((m.mtime, m.uid, m.uname, m.mode) == (0, 0, "", 0o644) for m in members)


@pytest.mark.parametrize(
    "routes",
    [
        [ZDB],
        [ZDB._replace(url="zdb://:pass%2Fword@hub.example:9900/n%20s")],
        [ZDB._replace(end=127), Route(128, 255, "redis://two.example:6379")],
        [ZDB, Route(0, 255, "zdb://mirror.example:9900")],
        [ZDB._replace(start=16)],
    ],
)
def test_stores_survive(tmp_path: Path, routes: list[Route]) -> None:
    write_legacy(tmp_path / "a.flist", make_tables(routes=routes))
    assert read(tmp_path / "a.flist").routes == routes


def test_what_is_lost_is_named(tmp_path: Path) -> None:
    tables = make_tables(routes=[Route(0, 255, "dir:///srv/blocks"), ZDB])
    first = tables.inodes[2]
    again = first._replace(ino=12, parent=2, name=b"again", same_as=3, nlink=2)
    meta = {**tables.meta, 3: Meta(xattrs=((b"user.a", b"b"),))}
    tables = tables._replace(inodes=[*tables.inodes, again], meta=meta)
    write_legacy(tmp_path / "a.flist", tables)
    found = read(tmp_path / "a.flist")
    assert found.routes == [ZDB]
    assert found.blocks[12] == found.blocks[3] == [block(1), block(2)]
    texts = find_losses(tables)
    assert [text.split(" ", 1)[0] for text in texts] == ["1", "1", "2", "1"]
    assert "hard links" in texts[0]
    assert "extended attributes" in texts[1]


def test_times_are_kept_within_the_format(tmp_path: Path) -> None:
    tables = make_tables()
    early = tables.inodes[0]._replace(mtime_ns=-5 * NS, ctime_ns=2**40 * NS)
    write_legacy(tmp_path / "a.flist", tables._replace(inodes=[early, *tables.inodes[1:]]))
    root = read(tmp_path / "a.flist").inodes[0]
    assert (root.mtime_ns, root.ctime_ns) == (0, (2**32 - 1) * NS)


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ({3: [block(1), block(2)], 11: [Block(b"i" * 32, b"k" * 32)]}, "newer format"),
        ({3: [block(1)], 11: [block(3)]}, "/file has 1 blocks"),
        ({3: [block(1), block(2)]}, "/dir/na.*me has 0 blocks"),
    ],
)
def test_unfit_blocks_are_refused(tmp_path: Path, blocks: Any, reason: str) -> None:
    with pytest.raises(FlistError, match=reason):
        write_legacy(tmp_path / "a.flist", make_tables(blocks=blocks))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_larger_than_a_message_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "MAX_MESSAGE_BYTES", 600)
    with pytest.raises(FlistError, match="does not fit into the older format"):
        write_legacy(tmp_path / "a.flist", make_tables())
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_many_blocks_is_read_again(tmp_path: Path) -> None:
    """Its record is longer than upstream's writer can make (4 MiB)."""
    files = [inode(n, 1, f"{n}", 0o100644, 1000 * CHUNK_BYTES) for n in range(2, 102)]
    blocks = {one.ino: [block(one.ino)] * 1000 for one in files}
    tables = make_tables(inodes=[inode(1, 0, "/", 0o40755, 4096), *files], blocks=blocks, meta={})
    path = tmp_path / "a.flist"
    write_legacy(path, tables)
    records, _ = records_of(path)
    assert max(map(len, records.values())) > 4 << 20
    assert read(path) == tables


def test_the_longest_record_is_read(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "database")
    database.execute("CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB)")
    database.execute("INSERT INTO entries VALUES ('a', zeroblob(?))", (MAX_MESSAGE_BYTES,))
    database.commit()
    database.close()
    records, _ = read_records(tmp_path / "a.flist", tmp_path / "database")
    assert len(records["a"]) == MAX_MESSAGE_BYTES


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 8, 1000, 4096])
def test_the_ciphers_agree(size: int) -> None:
    data, key = os.urandom(size + -size % 4).ljust(8, b"x"), os.urandom(16)
    secret = encrypt_here(data, key)
    assert encrypt_words(data, key) == secret
    assert decrypt_words(secret, key) == decrypt_here(secret, key) == data


def test_a_known_block() -> None:
    """Snappy's form of five literal bytes, padding, and the packed length as the last word."""
    known, data = encode_legacy(b"hello")
    assert known.key.hex() == blake2b(b"hello", digest_size=16).hexdigest()
    assert known.id.hex() == blake2b(data, digest_size=16).hexdigest()
    assert decrypt_here(data, known.key) == b"\x05\x10hello\0\x07\0\0\0"


def test_files_of_every_mode_keep_it(tmp_path: Path) -> None:
    modes = [stat.S_IFREG | mode for mode in range(0, 0o10000, 0o111)]
    files = [inode(n, 1, str(n), mode) for n, mode in enumerate(modes, 2)]
    tables = make_tables(inodes=[inode(1, 0, "/", 0o40755, 4096), *files], blocks={}, meta={})
    write_legacy(tmp_path / "a.flist", tables)
    assert [one.mode for one in read(tmp_path / "a.flist").inodes[1:]] == modes
