"""Samples made by upstream's tools, read by ours."""

import json
import os
import re
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cramjam
import pytest

from common.debian.fetch import fetch_packages
from flist.blocks.codec import digest, encode
from flist.format.database import FlistFile
from flist.format.legacy.blocks import encrypt, legacy_digest
from flist.format.opening import AnyFlist, open_flist
from flist.model import CHUNK_BYTES, Block, chunk_count
from flist.mount.tree import Tree
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.trees import describe
from tests.helpers.needs import need_root, need_tool
from tests.helpers.samples import samples_dir

PACKAGES = ["coreutils", "findutils", "grep", "ncurses-base", "perl-base", "tar", "tzdata"]
"""Packages of Debian 12, as in the sample."""


def golden() -> tuple[Path, str, list[dict[str, Any]]]:
    """Return the golden flist, its store's URL, and its tree."""
    place = samples_dir() / "golden"
    return (
        place / "golden.fl",
        f"dir://{place}/blocks",
        json.loads((place / "tree.json").read_text()),
    )


def as_golden(root: Path) -> list[dict[str, Any]]:
    """Return the tree at `root` in the form of tree.json."""
    rows = []
    for key, entry in describe(root).items():
        row = {"path": "/" if key == "." else "/" + key, "mode": entry["mode"]}
        row |= {"uid": entry["uid"], "gid": entry["gid"], "mtime": entry["mtime_ns"] // 10**9}
        row |= {name: entry[name] for name in ("size", "sha256") if name in entry}
        if "target" in entry:
            row["target"] = os.fsdecode(entry["target"])
        if "rdev" in entry:
            row["rdev"] = list(entry["rdev"])
        rows.append(row)
    return sorted(rows, key=lambda row: row["path"])


@pytest.mark.parametrize("adapter", ["raw", "library"])
def test_golden_mounted(tmp_path: Path, adapter: str) -> None:
    meta, store, tree = golden()
    with mounted(meta, tmp_path / "m", "--store", store, "--adapter", adapter) as mount:
        assert as_golden(mount.path) == tree


def test_golden_unpacked_and_packed_again(tmp_path: Path) -> None:
    need_root()
    meta, store, tree = golden()
    rfs("unpack", "-p", "-m", meta, "--store", store, tmp_path / "out")
    assert as_golden(tmp_path / "out") == tree
    rfs("pack", "-m", tmp_path / "our.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "out")
    theirs = sorted(path.name for path in (samples_dir() / "golden" / "blocks").iterdir())
    assert sorted(path.name for path in (tmp_path / "blocks").glob("*/*")) == theirs


@pytest.mark.parametrize(
    ("name", "inodes"),
    [("hello-world", 15), ("alpine", 527), ("redis", None), ("golden/golden", 50)],
)
def test_sample_is_read_completely(name: str, inodes: int | None) -> None:
    with FlistFile.open(samples_dir() / f"{name}.fl") as flist:
        every = list(flist.inodes())
        assert inodes is None or len(every) == inodes
        tree = Tree(flist)
        pending, seen, broken = [1], 0, 0
        while pending:
            ino = pending.pop()
            seen += 1
            inode = tree.inode(ino)
            if inode.is_dir:
                pending += [entry.ino for entry in tree.entries(ino).values()]
            elif inode.is_file:
                count = len(tree.blocks(inode))
                broken += count != chunk_count(inode.size)
            elif inode.is_link:
                assert len(tree.target(inode)) == inode.size
        assert seen == len(every)
        # Upstream's conversion of this image left out the blocks of some files.
        assert (broken > 0) == (name == "redis")


@pytest.fixture(scope="module", name="debian")
def read_debian() -> dict[str, bytes]:
    """Return the files of Debian packages, by their paths in a merged /usr."""
    need_tool("apt-get")
    with tarfile.open(fetch_packages(PACKAGES, suite="bookworm")) as archive:
        members = ((member, archive.extractfile(member)) for member in archive if member.isreg())
        return {merge_usr(member.name[1:]): stream.read() for member, stream in members if stream}


def merge_usr(path: str) -> str:
    """Return the path of a file on a system where /bin, /sbin and /lib are links into /usr."""
    return f"/usr{path}" if path.startswith(("/bin/", "/sbin/", "/lib")) else path


def find_twins(
    flist: AnyFlist, files: dict[str, bytes]
) -> Iterator[tuple[list[bytes], list[Block]]]:
    """Yield the chunks and the blocks of every file that is the same in both, by path and keys."""
    paths = {1: ""}
    for inode in flist.inodes():  # a folder comes before its entries
        if inode.ino != 1:
            paths[inode.ino] = paths.get(inode.parent, "?") + "/" + os.fsdecode(inode.name)
        plain = files.get(merge_usr(paths[inode.ino]), b"")
        if inode.is_file and inode.size == len(plain) > 0:
            chunks = [plain[at : at + CHUNK_BYTES] for at in range(0, len(plain), CHUNK_BYTES)]
            blocks = flist.blocks(inode.ino)
            if [digest(chunk, len(blocks[0].key)) for chunk in chunks] == [b.key for b in blocks]:
                yield chunks, blocks


def test_block_ids_of_debian_packages(debian: dict[str, bytes]) -> None:
    """The packages of the image, packed by us, give the ids that upstream computed."""
    sizes = []
    with open_flist(samples_dir() / "redis.fl") as flist:
        for chunks, blocks in find_twins(flist, debian):
            encoded = [encode(chunk).block for chunk in chunks]
            assert [block[:2] for block in encoded] == [block[:2] for block in blocks]
            sizes.append(len(chunks))
    assert len(sizes) > 200
    assert max(sizes) > 1


def test_older_block_ids_of_debian_packages(debian: dict[str, bytes]) -> None:
    """The keys, hashes of the content, are the same; many ids are not, for another Snappy packed
    that image: only where it had no choice."""
    equal = found = 0
    with open_flist(samples_dir() / "ubuntu-funk.flist") as flist:
        for chunks, blocks in find_twins(flist, debian):
            found += 1
            if len(chunks[0]) < 2000:  # XXTEA is slow in Python
                packed = bytes(cramjam.snappy.compress_raw(chunks[0]))
                data = encrypt(packed, blocks[0].key)
                equal += legacy_digest(data) == blocks[0].id
    assert found > 200
    assert equal > 50, equal


def read_schema(meta: Path) -> set[str]:
    """Return the SQL of a flist's tables and indexes, without white space."""
    with sqlite3.connect(f"file:{meta}?mode=ro&immutable=1", uri=True) as database:
        rows = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    database.close()
    return {re.sub(r"--[^\n]*|\s+", "", sql) for (sql,) in rows}


def read_storage_classes(meta: Path) -> set[tuple[str, ...]]:
    """Return the storage classes in the columns that upstream reads."""
    found: set[tuple[str, ...]] = set()
    with sqlite3.connect(f"file:{meta}?mode=ro&immutable=1", uri=True) as database:
        for table in ("inode", "extra", "block", "tag", "route"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            kinds = ", ".join(f"typeof({column})" for column in columns)
            rows = database.execute(f"SELECT DISTINCT {kinds} FROM {table}")
            found |= {(table, *row) for row in rows}
    database.close()
    return found


def test_our_file_has_the_structure_of_upstreams(tmp_path: Path) -> None:
    """SQL, storage classes, page size, journal and root are the same, apart from `zos_check`."""
    need_root()
    meta, store, _ = golden()
    rfs("unpack", "-p", "-m", meta, "--store", store, tmp_path / "out")
    ours = tmp_path / "our.fl"
    rfs("pack", "-m", ours, "-s", f"dir://{tmp_path}/blocks", tmp_path / "out")
    assert {sql for sql in read_schema(ours) if "zos_check" not in sql} == read_schema(meta)
    assert read_storage_classes(ours) == read_storage_classes(meta)
    assert ours.read_bytes()[:24] == meta.read_bytes()[:24]  # page size, journal, format
    with FlistFile.open(ours) as a, FlistFile.open(meta) as b:
        theirs = {block[:2] for _, block in b.all_blocks()}
        assert {block[:2] for _, block in a.all_blocks()} == theirs
        ours_root, their_root = a.inode(1), b.inode(1)
        assert ours_root is not None
        assert their_root is not None
        assert ours_root == their_root._replace(ctime_ns=ours_root.ctime_ns)
