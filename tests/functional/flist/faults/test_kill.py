"""SIGKILL at random moments: what is left is intact, and a second run completes."""

import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.helpers.flist.faults import (
    check_blocks,
    faulty_server,
    file_hashes,
    kill_after,
    make_many_files,
    pack_into,
)
from tests.helpers.flist.mount import mounted, rfs

KILLS = 6


class Moments:
    """Random moments to kill at, within the shortest time that a run has taken."""

    def __init__(self, took_s: float) -> None:
        self.longest_s = took_s
        self.killed = 0

    def kill(self, *words: str | Path, is_group: bool) -> None:
        """Start `rfs WORDS` and kill it, alone or with its workers."""
        delay_s = random.uniform(0.1, 1.0) * self.longest_s
        if kill_after(delay_s, *words, is_group=is_group):
            self.killed += 1
        else:
            self.longest_s = delay_s  # the run ended before: the machine is less busy now


def test_a_killed_pack_can_be_repeated(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree")
    start = time.monotonic()
    pack_into(tmp_path, tree)
    took_s = time.monotonic() - start
    whole = (tmp_path / "a.fl").read_bytes()
    moments = Moments(took_s)
    for number in range(KILLS):
        shutil.rmtree(tmp_path / "blocks")
        (tmp_path / "a.fl").unlink(missing_ok=True)
        store = f"dir://{tmp_path}/blocks"
        words = ("pack", "-m", tmp_path / "a.fl", "-s", store, tree)
        moments.kill(*words, is_group=number % 2 == 0)
        check_blocks(tmp_path / "blocks")
        if (tmp_path / "a.fl").exists():
            assert (tmp_path / "a.fl").read_bytes() == whole
        pack_into(tmp_path, tree)
        assert (tmp_path / "a.fl").read_bytes() == whole
    assert moments.killed
    rfs("verify", "-m", tmp_path / "a.fl")


def test_a_killed_unpack_can_be_repeated(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree")
    meta = pack_into(tmp_path, tree)
    expected = file_hashes(tree)
    start = time.monotonic()
    rfs("unpack", "-m", meta, tmp_path / "first")
    took_s = time.monotonic() - start
    moments = Moments(took_s)
    for number in range(KILLS):
        out = tmp_path / f"out-{number}"
        moments.kill("unpack", "-m", meta, out, is_group=number % 2 == 0)
        for name, value in file_hashes(out).items():
            assert ".rfs-" in name or value == expected[name], f"{name} is wrong"
        rfs("unpack", "-m", meta, out)
        assert file_hashes(out) == expected
    assert moments.killed


def test_a_killed_mount_leaves_an_intact_cache(tmp_path: Path, adapter: str) -> None:
    tree = make_many_files(tmp_path / "tree", 200)
    meta = pack_into(tmp_path, tree)
    expected = file_hashes(tree)
    cache = tmp_path / "cache"
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "--cache", cache, "--adapter", adapter)
        for _ in range(KILLS):
            with mounted(meta, tmp_path / "m", *words) as mount:
                timer = threading.Timer(random.uniform(0.1, 1.0), mount.process.kill)
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


def test_a_killed_pack_leaves_nothing_that_looks_like_a_flist(tmp_path: Path) -> None:
    """It may leave hidden files beside the flist."""
    tree = make_many_files(tmp_path / "tree", 50)
    for _ in range(2):
        words = ("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
        kill_after(random.uniform(0.1, 0.8), *words, is_group=True)
        others = {p.name for p in tmp_path.iterdir()} - {"tree", "blocks", "a.fl"}
        assert all(name.startswith(".") for name in others)
    with pytest.raises(StopIteration):
        next(p for p in tmp_path.glob("*.fl") if p.name != "a.fl")
