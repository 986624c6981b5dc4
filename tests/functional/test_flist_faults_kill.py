"""kill -9 at random moments: what is left is right, and a second run ends well."""

import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.helpers.flist_faults import (
    check_blocks,
    faulty_server,
    file_hashes,
    kill_after,
    make_many_files,
    pack_into,
)
from tests.helpers.flist_mount import mounted, rfs

KILLS = 6


def moments(longest_s: float) -> list[tuple[float, bool]]:
    """Return when to kill, and whether the workers die, too."""
    choose = random.Random()
    return [(choose.uniform(0.1, 1.0) * longest_s, number % 2 == 0) for number in range(KILLS)]


def test_pack(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree")
    start = time.monotonic()
    pack_into(tmp_path, tree)
    took_s = time.monotonic() - start
    whole = (tmp_path / "a.fl").read_bytes()
    killed = 0
    for delay_s, is_group in moments(took_s):
        shutil.rmtree(tmp_path / "blocks")
        (tmp_path / "a.fl").unlink(missing_ok=True)
        store = f"dir://{tmp_path}/blocks"
        words = ("pack", "-m", tmp_path / "a.fl", "-s", store, tree)
        killed += kill_after(delay_s, *words, is_group=is_group)
        check_blocks(tmp_path / "blocks")
        if (tmp_path / "a.fl").exists():
            assert (tmp_path / "a.fl").read_bytes() == whole
        pack_into(tmp_path, tree)
        assert (tmp_path / "a.fl").read_bytes() == whole
    assert killed
    rfs("verify", "-m", tmp_path / "a.fl")


def test_unpack(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree")
    meta = pack_into(tmp_path, tree)
    expected = file_hashes(tree)
    start = time.monotonic()
    rfs("unpack", "-m", meta, tmp_path / "first")
    took_s = time.monotonic() - start
    killed = 0
    for number, (delay_s, is_group) in enumerate(moments(took_s)):
        out = tmp_path / f"out-{number}"
        killed += kill_after(delay_s, "unpack", "-m", meta, out, is_group=is_group)
        for name, value in file_hashes(out).items():
            assert ".rfs-" in name or value == expected[name], f"{name} is wrong"
        rfs("unpack", "-m", meta, out)
        if not is_group:
            rfs("unpack", "-m", meta, out)  # orphaned workers may have been at it meanwhile
        assert file_hashes(out) == expected
    assert killed


def test_mount_and_cache_write(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree", 200)
    meta = pack_into(tmp_path, tree)
    expected = file_hashes(tree)
    cache = tmp_path / "cache"
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "--cache", cache)
        for delay_s, _ in moments(1.0):
            with mounted(meta, tmp_path / "m", *words) as mount:
                timer = threading.Timer(delay_s, mount.process.kill)
                timer.start()
                try:
                    seen = file_hashes(mount.path)
                except OSError:
                    seen = {}
                timer.cancel()
                timer.join()
                assert seen.items() <= expected.items()
            check_blocks(cache)
        with mounted(meta, tmp_path / "m", *words) as mount:
            assert file_hashes(mount.path) == expected
    with mounted(meta, tmp_path / "m", "--cache", cache, "--offline") as mount:
        assert file_hashes(mount.path) == expected


def test_a_killed_pack_is_no_flist_for_anybody(tmp_path: Path) -> None:
    """What a killed pack may leave beside the flist has no name that anybody would mount."""
    tree = make_many_files(tmp_path / "tree", 50)
    for delay_s, _ in moments(0.8)[:2]:
        words = ("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
        kill_after(delay_s, *words, is_group=True)
        others = {p.name for p in tmp_path.iterdir()} - {"tree", "blocks", "a.fl"}
        assert all(name.startswith(".") for name in others)
    with pytest.raises(StopIteration):
        next(p for p in tmp_path.glob("*.fl") if p.name != "a.fl")
