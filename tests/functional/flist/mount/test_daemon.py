"""A background mount is up in time, or the command says why not."""

import os
import time
from functools import partial
from pathlib import Path

import pytest

from common.mounts import read_mounts
from flist.errors import FlistError
from flist.mount import background
from flist.mount.attach import detach
from flist.mount.background import mount_in_background
from flist.mount.control import find_server
from flist.mount.fuse import server as fuse_raw
from flist.mount.mount import Mount, mount
from flist.store.sources import Sources
from tests.helpers.flist.mount import rfs, rfs_daemon
from tests.helpers.flist.trees import make_small_tree
from tests.helpers.needs import need_fuse
from tests.helpers.processes import children_of


@pytest.fixture(name="packed")
def make_packed(tmp_path: Path) -> Path:
    """Pack the small tree as a.fl, and make the empty folder m."""
    need_fuse()
    make_small_tree(tmp_path / "tree")
    (tmp_path / "m").mkdir()
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "tree")
    return tmp_path / "a.fl"


def is_mounted(target: Path) -> bool:
    """Return whether something is mounted on `target`."""
    return any(entry.target == str(target) for entry in read_mounts())


def test_a_mount_that_is_not_up_within_four_seconds_is_ended(
    packed: Path, tmp_path: Path, adapter: str
) -> None:
    """A pipe without a reader blocks it."""
    os.mkfifo(tmp_path / "trace")
    began = time.monotonic()
    record = ("--record", tmp_path / "trace", "--log", tmp_path / "log")
    words = ("--daemon", *record, "--adapter", adapter)
    done = rfs("mount", "-m", packed, *words, tmp_path / "m", check=False)
    assert time.monotonic() - began >= 4
    assert done.returncode == 1
    assert f"cannot mount on {tmp_path}/m: not up within 4 s" in done.stderr
    assert f"hint: see {tmp_path}/log" in done.stderr
    assert not is_mounted(tmp_path / "m")


def test_the_user_may_say_how_long_to_wait(packed: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trace")
    words = ("--daemon", "--timeout", "0.5", "--record", tmp_path / "trace")
    done = rfs("mount", "-m", packed, *words, tmp_path / "m", check=False)
    assert done.returncode == 1
    assert f"cannot mount on {tmp_path}/m: not up within 0.5 s" in done.stderr


def test_time_without_a_processor_does_not_count(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = Mount(packed, tmp_path / "m", Sources(), "raw")
    monkeypatch.setattr(background, "starved", lambda _pid: 30.0)
    try:
        assert mount_in_background(partial(mount, what), what.target, None, time.monotonic()) == 0
        assert is_mounted(tmp_path / "m")
    finally:
        detach(tmp_path / "m", find_server(tmp_path / "m"))
    monkeypatch.undo()
    assert background.starved(2**22 + 1) == 0.0  # no such process
    assert background.starved(os.getpid()) > 0.0


def test_the_daemon_leaves_the_current_directory(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that are relative to it keep working, also for a later version."""
    rfs("keygen", tmp_path / "key")
    rfs("sign", "-m", packed, "-k", tmp_path / "key", "-n", "a/b")
    monkeypatch.chdir(tmp_path)
    rfs_daemon("-m", "a.fl", "--key", "key.pub", "--log", "log", "m")
    pid = find_server(tmp_path / "m")
    try:
        assert pid is not None
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
        rfs("remount", "-m", "a.fl", "m")
        assert (tmp_path / "m" / "one").exists()
    finally:
        detach(tmp_path / "m", pid)


def test_a_log_pipe_without_a_reader_is_refused_at_once(packed: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    words = ("mount", "-m", packed, "--daemon", "--log", tmp_path / "log", tmp_path / "m")
    done = rfs(*words, check=False)
    assert done.returncode == 1
    assert f"cannot write log {tmp_path}/log: " in done.stderr


def test_an_error_of_the_new_process_keeps_its_status(packed: Path, tmp_path: Path) -> None:
    words = ("mount", "-d", "-m", packed, "--store", "none://there", tmp_path / "m")
    done = rfs(*words, check=False)
    assert done.returncode == 2
    assert "cannot open store 'none://there': unknown scheme" in done.stderr
    assert "hint: there are: dir://" in done.stderr


def test_an_ended_process_leaves_no_mount(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it ends on SIGTERM or has to be killed."""
    what = Mount(packed, tmp_path / "m", Sources(), "raw")
    monkeypatch.setattr(background, "END_WITHIN_S", 5.0)
    before = children_of(os.getpid())
    for hang in (lambda _target: time.sleep(600), hang_on):
        monkeypatch.setattr(fuse_raw, "widen_read_ahead", hang)
        with pytest.raises(FlistError, match="not up within"):
            mount_in_background(partial(mount, what), what.target, None, time.monotonic() + 0.5)
        assert not is_mounted(tmp_path / "m")
        assert children_of(os.getpid()) == before


def hang_on(target: Path) -> None:
    """Hang after the kernel has the mount, and ignore signals."""
    assert is_mounted(target)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue
