"""Conversion to the older `.flist` and back, with blocks in several kinds of stores."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from flist.format.legacy.writer import write_legacy
from flist.format.opening import open_flist
from flist.format.tables import Tables, read_tables
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.servers import redis_server
from tests.helpers.flist.trees import describe, make_odd_tree, make_small_tree
from tests.helpers.needs import need_root
from tests.helpers.samples import samples_dir


def read(path: Path) -> Tables:
    with open_flist(path) as flist:
        return read_tables(flist)


def test_the_sample_is_written_as_it_was_read(tmp_path: Path) -> None:
    tables = read(samples_dir() / "ubuntu-funk.flist")
    write_legacy(tmp_path / "again.flist", tables)
    again = read(tmp_path / "again.flist")
    assert len(again.inodes) == 38081
    assert again.inodes == tables.inodes
    assert again._replace(inodes=()) == tables._replace(inodes=())


def as_older(found: dict[str, Any]) -> dict[str, Any]:
    """Return a description of a tree without what the older format can't hold."""
    lost = {"nlink", "xattrs", "data", "same_as", "mtime_ns"}
    return {
        path: {key: value for key, value in one.items() if key not in lost}
        | {"mtime": max(one["mtime_ns"] // 10**9, 0)}
        for path, one in found.items()
    }


@pytest.mark.parametrize("store", ["dir", "flat", "redis"])
def test_a_tree_survives_both_formats(tmp_path: Path, store: str) -> None:
    tree = make_small_tree(tmp_path / "tree")
    (tree / "three chunks").write_bytes(os.urandom(1 << 20) + bytes(1000))
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/new", tree)
    with redis_server(tmp_path) as port:
        url = {
            "dir": f"dir://{tmp_path}/old",
            "flat": f"dir://{tmp_path}/old?flat",
            "redis": f"zdb://127.0.0.1:{port}",
        }[store]
        done = rfs("convert", tmp_path / "a.fl", tmp_path / "a.flist", "-s", url)
        assert "converted" in done.stderr
        assert ("stores are not named" in done.stderr) == (store != "redis")
        shutil.rmtree(tmp_path / "new")
        from_store = [] if store == "redis" else ["--store", url]
        rfs("unpack", "-m", tmp_path / "a.flist", *from_store, tmp_path / "out")
        rfs("verify", "-m", tmp_path / "a.flist", *from_store)
        back = ["-s", f"dir://{tmp_path}/back"] + (["--from", url] if from_store else [])
        rfs("convert", "-m", tmp_path / "a.flist", "-o", tmp_path / "b.fl", *back)
    rfs("unpack", "-m", tmp_path / "b.fl", tmp_path / "again")
    assert describe(tmp_path / "out") == describe(tmp_path / "again")
    assert as_older(describe(tmp_path / "out")) == as_older(describe(tree))


def test_odd_entries_and_tags_survive(tmp_path: Path) -> None:
    need_root()
    tree = make_odd_tree(tmp_path / "tree")
    entrypoint = 'entrypoint=["/bin/sh"]'
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/new", "--tag", entrypoint, tree)
    url = f"dir://{tmp_path}/old"
    done = rfs("convert", tmp_path / "a.fl", tmp_path / "a.flist", "-s", url)
    assert "note: " in done.stderr
    assert read(tmp_path / "a.flist").tags == {"entrypoint": '["/bin/sh"]'}
    with mounted(tmp_path / "a.flist", tmp_path / "m", "--store", url) as mount:
        found = describe(mount.path)
    assert as_older(found) == as_older(describe(tree))
    first = (tmp_path / "a.flist").read_bytes()
    rfs("convert", tmp_path / "a.fl", tmp_path / "a.flist", "-s", url)
    assert (tmp_path / "a.flist").read_bytes() == first
    assert rfs("gc", "--keep", tmp_path / "a.flist", "--", tmp_path / "old").stdout.startswith(
        "removed 0 "
    )


def test_wrong_calls_write_nothing(tmp_path: Path) -> None:
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/new", tmp_path)
    for words in (["a.fl"], [], ["a.fl", "b.flist", "c.flist"]):
        paths = [tmp_path / word for word in words]
        done = rfs("convert", *paths, "-s", f"dir://{tmp_path}/old", check=False)
        assert done.returncode == 2
        assert f"{len(words)} flists are named" in done.stderr
    assert not (tmp_path / "old").exists()
