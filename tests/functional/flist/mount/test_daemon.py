"""A mount in the background: up, or a reason within the time."""

import os
import time
from pathlib import Path

import pytest

import flist.mount.mount
from common.mounts import read_mounts
from flist.errors import FlistError
from flist.mount.fuse import server as fuse_raw
from flist.mount.mount import Mount, mount_in_background
from flist.store.sources import Sources
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.trees import make_small_tree
from tests.helpers.needs import need_fuse
from tests.helpers.processes import children_of


@pytest.fixture(name="packed")
def make_packed(tmp_path: Path) -> Path:
    """Pack the small tree as a.fl; m is an empty folder."""
    need_fuse()
    make_small_tree(tmp_path / "tree")
    (tmp_path / "m").mkdir()
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "tree")
    return tmp_path / "a.fl"


def is_mounted(target: Path) -> bool:
    """Whether something is mounted there."""
    return any(entry.target == str(target) for entry in read_mounts())


def test_what_is_not_up_within_four_seconds_is_ended(packed: Path, tmp_path: Path) -> None:
    """A pipe that nobody reads holds it up."""
    os.mkfifo(tmp_path / "trace")
    began = time.monotonic()
    words = ("--daemon", "--record", tmp_path / "trace", "--log", tmp_path / "log")
    done = rfs("mount", "-m", packed, *words, tmp_path / "m", check=False)
    assert time.monotonic() - began >= 4
    assert done.returncode == 1
    assert f"cannot mount on {tmp_path}/m: not up within 4 s" in done.stderr
    assert f"hint: see {tmp_path}/log" in done.stderr
    assert not is_mounted(tmp_path / "m")


def test_a_log_that_nobody_reads_is_refused_at_once(packed: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    words = ("mount", "-m", packed, "--daemon", "--log", tmp_path / "log", tmp_path / "m")
    done = rfs(*words, check=False)
    assert done.returncode == 1
    assert f"cannot write log {tmp_path}/log: " in done.stderr


def test_what_is_ended_leaves_no_mount(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when it listens to SIGTERM nor when it has to be killed."""
    what = Mount(packed, tmp_path / "m", Sources(), "raw")
    monkeypatch.setattr(flist.mount, "END_WITHIN_S", 5.0)
    before = children_of(os.getpid())
    for hang in (lambda _target: time.sleep(600), hang_on):
        monkeypatch.setattr(fuse_raw, "widen_read_ahead", hang)
        with pytest.raises(FlistError, match="not up within"):
            mount_in_background(what, None, time.monotonic() + 0.5)
        assert not is_mounted(tmp_path / "m")
        assert children_of(os.getpid()) == before


def hang_on(target: Path) -> None:
    """Hang where the mount is up for the kernel, whatever signal comes."""
    assert is_mounted(target)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue
