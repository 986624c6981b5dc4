"""Mounts with a writable layer, from start to end."""

import contextlib
import json
import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from common.mounts import read_mounts
from tests.helpers.flist.mount import END_WITHIN_S, Mounted, mounted, rfs, rfs_daemon
from tests.helpers.flist.trees import make_small_tree
from tests.helpers.needs import need_fuse, need_root
from tests.helpers.waiting import wait_until


@pytest.fixture(name="packed")
def make_packed(tmp_path: Path) -> Path:
    """Pack the small tree as a.fl."""
    make_small_tree(tmp_path / "tree")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "tree")
    return tmp_path / "a.fl"


def mounts_below(folder: Path) -> list[str]:
    """Return the mount points below a folder."""
    return [entry.target for entry in read_mounts() if entry.target.startswith(f"{folder}/")]


def umount(target: Path, *flags: str) -> None:
    """Unmount with umount(8)."""
    subprocess.run(["umount", *flags, target], check=True, timeout=60)


def wait_ended(mount: Mounted, folder: Path) -> None:
    """Wait for a mount's processes and mounts to be gone."""
    assert mount.process.wait(END_WITHIN_S) == 0
    assert mounts_below(folder) == []


def test_changes_are_kept_in_a_folder(packed: Path, tmp_path: Path, adapter: str) -> None:
    need_root()
    layers = tmp_path / "layers"
    words = ("--overlay", layers, "--adapter", adapter)
    with mounted(packed, tmp_path / "m", *words) as mount:
        (mount.path / "one").write_text("changed")
        (mount.path / "sub" / "text").unlink()
        (mount.path / "new").write_text("new")
        assert (layers / "lower" / "one").read_bytes() != b"changed"
    assert mounts_below(tmp_path) == []
    with mounted(packed, tmp_path / "m", *words) as mount:
        assert (mount.path / "one").read_text() == "changed"
        assert not (mount.path / "sub" / "text").exists()
        assert (mount.path / "new").read_text() == "new"
        assert (mount.path / "big").read_bytes() == (tmp_path / "tree" / "big").read_bytes()


def test_the_flist_is_unmounted_with_the_overlay(
    packed: Path, tmp_path: Path, adapter: str
) -> None:
    words = ("--overlay", tmp_path / "layers", "--adapter", adapter)
    for _ in range(2):  # the second one at once, in the same place
        with mounted(packed, tmp_path / "m", *words) as mount:
            assert mounts_below(tmp_path) == [f"{tmp_path}/layers/lower", f"{tmp_path}/m"]
            umount(mount.path)
            wait_ended(mount, tmp_path)


def test_an_open_file_can_be_read_after_a_lazy_unmount(
    packed: Path, tmp_path: Path, adapter: str
) -> None:
    words = ("--overlay", tmp_path / "layers", "--adapter", adapter)
    with mounted(packed, tmp_path / "m", *words) as mount:
        with (mount.path / "big").open("rb") as stream:
            umount(mount.path, "-l")
            wait_until(lambda: not mounts_below(tmp_path), "the end of the lower mount")
            assert stream.read() == (tmp_path / "tree" / "big").read_bytes()
            assert mount.process.poll() is None
        wait_ended(mount, tmp_path)


def test_a_folder_serves_one_mount(packed: Path, tmp_path: Path) -> None:
    layers = tmp_path / "layers"
    (tmp_path / "n").mkdir()
    with mounted(packed, tmp_path / "m", "--overlay", layers) as mount:
        done = rfs("mount", "-m", packed, "--overlay", layers, tmp_path / "n", check=False)
        assert done.returncode == 1
        assert f"cannot use {layers}: another mount uses it" in done.stderr
        assert mounts_below(tmp_path) == [f"{layers}/lower", f"{mount.path}"]
        again = rfs("mount", "-m", packed, "--overlay", tmp_path / "o", mount.path, check=False)
        assert "a flist is mounted there" in again.stderr
        assert not (tmp_path / "o").exists()
        (mount.path / "new").write_text("still well")


def test_the_folder_can_be_used_again_after_a_kill(
    packed: Path, tmp_path: Path, adapter: str
) -> None:
    words = ("--overlay", tmp_path / "layers", "--adapter", adapter)
    with mounted(packed, tmp_path / "m", *words) as mount:
        (mount.path / "new").write_text("kept")
        mount.process.kill()
        mount.process.wait(END_WITHIN_S)
        umount(mount.path)
        assert mounts_below(tmp_path) == [f"{tmp_path}/layers/lower"]
    with mounted(packed, tmp_path / "m", *words) as mount:
        assert (mount.path / "new").read_text() == "kept"
    assert mounts_below(tmp_path) == []


@pytest.mark.parametrize(
    "start",
    [partial(rfs, "mount"), rfs_daemon, partial(rfs, "mount", "--adapter", "library")],
    ids=["raw", "daemon", "library"],
)
def test_an_overlay_that_cannot_be_mounted_is_reported(
    packed: Path, tmp_path: Path, start: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """The upper layer must not be on a read-only file system, such as a flist."""
    need_fuse()
    (tmp_path / "m").mkdir()
    for name in ("lower", "upper", "work"):
        (tmp_path / "tree" / "layers" / name).mkdir(parents=True, exist_ok=True)
    rfs("pack", "-m", packed, "-s", f"dir://{tmp_path}/blocks", tmp_path / "tree")
    with mounted(packed, tmp_path / "disk"):
        before = mounts_below(tmp_path)
        words = ("-m", packed, "--overlay", tmp_path / "disk/layers", tmp_path / "m")
        done = start(*words, check=False)
        assert done.returncode == 1
        assert f"cannot mount an overlay on {tmp_path}/m: " in done.stderr
        assert "Traceback" not in done.stderr
        assert mounts_below(tmp_path) == before


def test_the_control_socket_is_found_through_an_overlay(
    packed: Path, tmp_path: Path, adapter: str
) -> None:
    words = ("--overlay", tmp_path / "lay ers=x", "--adapter", adapter)
    with mounted(packed, tmp_path / "m", *words) as mount:
        (mount.path / "big").read_bytes()
        stats = json.loads(rfs("stats", "--json", mount.path).stdout)
        assert stats["fetched"] + stats["memory_hits"] > 0
        done = rfs("remount", "-m", packed, mount.path, check=False)
        assert done.returncode == 1
        assert "cannot change the flist: " in done.stderr
        assert os.path.ismount(mount.path)


def test_an_old_mount_that_ends_leaves_the_new_one_in_its_place(
    packed: Path, tmp_path: Path, adapter: str
) -> None:
    """The old one was unmounted while a file was open in it, and ends when that is closed."""
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(mounted(packed, tmp_path / "m", "--adapter", adapter))
        with (old.path / "big").open("rb"):
            umount(old.path, "-l")
            new = stack.enter_context(mounted(packed, tmp_path / "m", "--adapter", adapter))
            assert old.process.poll() is None
        assert old.process.wait(END_WITHIN_S) == 0
        assert os.path.ismount(new.path)
        assert (new.path / "sub").is_dir()
