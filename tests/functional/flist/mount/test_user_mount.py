"""Mounts by an unprivileged user, through fusermount3."""

import array  # noqa: F401 imported late otherwise, where the other user may not read it
import importlib
import os
import pkgutil
import pwd
import signal
import subprocess
from pathlib import Path

import pytest

import flist
from common.mounts import read_mounts
from flist import cli
from flist.errors import FlistError
from flist.mount import attach as fuse_mount
from flist.mount import background
from flist.mount.control import find_server
from tests.helpers.flist.mount import DAEMON_WITHIN_S, rfs
from tests.helpers.flist.trees import describe, make_small_tree
from tests.helpers.needs import need_fuse
from tests.helpers.other_user import run_with_fuse

UID = pwd.getpwnam("nobody").pw_uid  # fusermount3 requires a user with a name


@pytest.fixture(name="place")
def make_place(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a flist with world-readable blocks, `own` (the other user's folder) and `scratch`."""
    need_fuse()
    monkeypatch.setattr(background, "UP_WITHIN_S", DAEMON_WITHIN_S)
    for module in pkgutil.walk_packages(flist.__path__, "flist."):
        if not module.name.startswith("flist.hub"):
            importlib.import_module(module.name)
    tree = make_small_tree(open_path / "tree")
    (tree / "sub").chmod(0o755)
    (tree / "one").chmod(0o644)
    rfs("pack", "-m", open_path / "a.fl", "-s", f"dir://{open_path}/blocks", tree)
    for name in ("own", "own/m", "scratch", "closed"):
        (open_path / name).mkdir()
    for name in ("own", "own/m"):
        os.chown(open_path / name, UID, UID)
    return open_path


def start(place: Path, *words: str) -> int:
    """Mount in the background; return the id of the process that serves the mount."""
    target = place / "own" / "m"
    assert cli.main(["mount", "-m", str(place / "a.fl"), "-d", *words, str(target)], "rfs") == 0
    pid = find_server(target)
    assert pid is not None
    return pid


def test_a_user_mounts_reads_asks_and_unmounts(place: Path) -> None:
    expected = describe(place / "tree")
    target = place / "own" / "m"

    def work() -> None:
        pid = start(place)
        (mount,) = [entry for entry in read_mounts() if entry.target == str(target)]
        assert mount.kind == fuse_mount.KIND
        assert mount.option("user_id") == str(UID)
        assert describe(target) == expected
        assert cli.main(["stats", str(target)], "rfs") == 0
        assert cli.main(["remount", "-m", str(place / "a.fl"), str(target)], "rfs") == 0
        assert describe(target) == expected
        subprocess.run(["fusermount3", "-u", target], check=True, timeout=60)
        assert os.waitpid(pid, 0)[1] == 0
        assert list(target.iterdir()) == []

    run_with_fuse(UID, place / "scratch", work)


def test_a_users_mount_ends_with_its_process(place: Path, adapter: str) -> None:
    target = place / "own" / "m"

    def work() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            pid = start(place, "--adapter", adapter)
            handle = os.open(target / "big", os.O_RDONLY)
            os.kill(pid, number)
            assert os.waitpid(pid, 0)[1] == 0
            assert list(target.iterdir()) == []
            with pytest.raises(OSError, match="not connected"):
                os.close(handle)

    run_with_fuse(UID, place / "scratch", work)


def test_a_user_can_mount_only_on_own_folders(place: Path) -> None:
    def work() -> None:
        for words in (["-d"], []):
            call = ["mount", "-m", str(place / "a.fl"), *words, str(place / "closed")]
            with pytest.raises(FlistError, match=r"cannot mount on .*closed: fusermount3: "):
                cli.main(call, "rfs")
            assert not os.path.ismount(place / "closed")

    run_with_fuse(UID, place / "scratch", work)
