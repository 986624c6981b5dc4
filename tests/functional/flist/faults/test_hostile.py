"""Damaged and hostile flists in real mounts, and a cache that two mounts share."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from tests.helpers.flist.faults import (
    faulty_server,
    file_hashes,
    make_many_files,
    pack_into,
)
from tests.helpers.flist.fuzz import make_sample
from tests.helpers.flist.mount import end, mounted, rfs

READ_WITHIN_S = 200


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "no table", "gzip", "zeros"])
@pytest.mark.parametrize("verb", ["mount", "unpack", "tree", "verify"])
def test_a_file_that_is_no_flist_is_refused(tmp_path: Path, damage: str, verb: str) -> None:
    sample = make_sample(tmp_path)
    data = sample.meta.read_bytes()
    damaged = {
        "empty": b"", "cut": data[:6000], "garbage": os.urandom(9000),
        "gzip": b"\x1f\x8b" + data[2:], "zeros": data[:100] + bytes(len(data) - 100),
    }  # fmt: skip
    meta = tmp_path / "bad.fl"
    meta.write_bytes(damaged.get(damage, data))
    if damage == "no table":
        connection = sqlite3.connect(meta)
        connection.execute("DROP TABLE block")
        connection.close()
    (tmp_path / "out").mkdir()
    done = rfs(verb, "-m", meta, *([tmp_path / "out"] if verb in ("mount", "unpack") else []),
               check=False)  # fmt: skip
    assert done.returncode == 1
    assert "cannot" in done.stderr and "Traceback" not in done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_a_hostile_flist_breaks_only_its_hostile_entries(tmp_path: Path, adapter: str) -> None:
    sample = make_sample(tmp_path)
    connection = sqlite3.connect(sample.meta, isolation_level=None)
    rows = [
        "UPDATE inode SET size = 1 << 60 WHERE name = 'file6'",  # more than its blocks
        "UPDATE block SET id = randomblob(32) WHERE ino = 7",
        "UPDATE block SET id = x'00', key = 5 WHERE ino = 8",
        "UPDATE extra SET data = x'2f00657463'",
        "INSERT INTO inode VALUES (50, 2, '../../escape', 1, 0, 0, 33188, 0, 0, 0)",
        "INSERT INTO inode VALUES (51, 52, 'a', 1, 0, 0, 16877, 0, 0, 0)",
        "INSERT INTO inode VALUES (52, 51, 'b', 1, 0, 0, 16877, 0, 0, 0)",
        "INSERT INTO inode VALUES (53, 9, 'under-a-link', 1, 0, 0, 33188, 0, 0, 0)",
    ]
    for row in rows:
        connection.execute(row)
    connection.close()
    with mounted(sample.meta, tmp_path / "m", "--adapter", adapter) as mount:
        subprocess.run(["find", mount.path, "-ls"], capture_output=True, check=False, timeout=120)
        for path in mount.path.iterdir():
            if path.name in ("file6", "file8", "link"):
                with pytest.raises(OSError), path.open("rb") as stream:
                    stream.read(100)
        assert (mount.path / "file4").read_bytes()
        assert mount.process.poll() is None
        end(mount.process)
        assert mount.process.stderr is not None
        said = mount.process.stderr.read()
        assert "Traceback" not in said
        assert f"rfs mount: cannot access {tmp_path}/m" in said
    done = rfs("unpack", "-m", sample.meta, tmp_path / "out", check=False)
    assert done.returncode == 1 and "holds a zero byte" in done.stderr
    assert not (tmp_path / "escape").exists() and "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", [0o120777, 0o100644])
def test_unpack_writes_nothing_through_a_link(tmp_path: Path, kind: int) -> None:
    """A link and a directory of one name are refused; a child of a link is left out."""
    sample = make_sample(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    connection = sqlite3.connect(sample.meta, isolation_level=None)
    connection.execute("UPDATE extra SET data = ?", (os.fsencode(outside),))
    connection.execute("INSERT INTO inode VALUES (60, 9, 'child', 0, 0, 0, ?, 0, 0, 0)", (kind,))
    connection.execute("INSERT INTO extra VALUES (60, ?)", (os.fsencode(outside),))
    rfs("unpack", "-m", sample.meta, tmp_path / "out")
    assert not list(outside.iterdir())
    connection.execute("UPDATE inode SET name = 'link' WHERE ino = 2")
    connection.close()
    shutil.rmtree(tmp_path / "out")
    done = rfs("unpack", "-m", sample.meta, tmp_path / "out", check=False)
    assert done.returncode == 1 and "twice" in done.stderr
    assert not list(outside.iterdir())


def test_two_mounts_share_a_small_cache_that_is_damaged_meanwhile(
    tmp_path: Path, adapter: str
) -> None:
    tree = make_many_files(tmp_path / "tree", 150)
    meta = pack_into(tmp_path, tree)
    expected, cache = file_hashes(tree), tmp_path / "cache"
    stop = threading.Event()

    def damage_cache() -> None:
        while not stop.wait(0.005):
            with contextlib.suppress(OSError):  # a mount may have removed the file
                for path in list(cache.glob("*/*"))[::5]:
                    os.truncate(path, 10)

    with faulty_server(tmp_path / "blocks") as server:
        store = ("--store", server.url, "--cache", cache, "--cache-size", "1M")
        words = (*store, "--adapter", adapter)
        with (
            mounted(meta, tmp_path / "m1", *words) as one,
            mounted(meta, tmp_path / "m2", *words) as two,
        ):
            found: list[dict[str, str]] = []
            threads = [
                threading.Thread(target=lambda place=place: found.append(file_hashes(place)))
                for place in (one.path, two.path)
            ]
            damage = threading.Thread(target=damage_cache)
            for thread in (*threads, damage):
                thread.start()
            for thread in threads:
                thread.join(READ_WITHIN_S)
            stop.set()
            damage.join()
            assert found == [expected, expected]
    assert sum(path.stat().st_size for path in cache.glob("*/*")) < 3 << 20
