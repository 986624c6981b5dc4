"""What the user or the file system does not allow: named and counted, and the rest is restored."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import flist.blocks.codec
import flist.commands.unpack
import flist.store.folder  # noqa: F401 imported here, since the other user may not read it
from common.mounts import mount, unmount
from flist import cli
from tests.helpers.flist.mount import rfs
from tests.helpers.needs import lack, need_root
from tests.helpers.other_user import run_as

UID = pwd.getpwnam("nobody").pw_uid


@pytest.mark.parametrize("times", [1, 2])
def test_a_user_restores_directories_that_nobody_may_write_to(open_path: Path, times: int) -> None:
    """Also over those that are there already."""
    tree, own = open_path / "tree", open_path / "own"
    (tree / "shut" / "inner").mkdir(parents=True)
    (tree / "shut" / "inner" / "file").write_text("content")
    (tree / "shut" / "link").symlink_to("inner")
    for folder in (tree / "shut" / "inner", tree / "shut", tree):
        folder.chmod(0o555)
    own.mkdir()
    os.chown(own, UID, UID)
    rfs("pack", "-m", open_path / "a.fl", "-s", f"dir://{open_path}/blocks", tree)
    words = ["unpack", "-m", str(open_path / "a.fl"), "--processes", "1", str(own / "out")]

    def work() -> None:
        for _ in range(times):
            assert cli.main(words, "rfs") == 0

    run_as(UID, work)
    out = own / "out"
    assert (out / "shut" / "inner" / "file").read_text() == "content"
    assert (out / "shut" / "link").readlink() == Path("inner")
    for folder in (out, out / "shut", out / "shut" / "inner"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o555
        assert folder.stat().st_uid == UID


@pytest.fixture(name="plain")
def make_plain(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that holds no extended attributes."""
    need_root()
    place = tmp_path / "plain"
    place.mkdir()
    try:
        mount("ramfs", place, "ramfs")
    except OSError as error:
        lack(f"of a ramfs: {error}")
    try:
        yield place
    finally:
        unmount(place)


def test_attributes_that_the_file_system_cannot_hold(tmp_path: Path, plain: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    names = [f"file-{number:02}" for number in range(15)]
    for name in names:
        (tree / name).write_text(name)
        os.setxattr(tree / name, "user.note", b"kept")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    done = rfs("unpack", "-m", tmp_path / "a.fl", plain / "out")
    assert [path.read_text() for path in sorted((plain / "out").iterdir())] == names
    assert f"not restored: {plain}/out/file-00: user.note: " in done.stderr
    assert "... and 5 more" in done.stderr
    assert ", 15 properties could not be restored" in done.stderr
    strict = rfs("unpack", "-p", "-m", tmp_path / "a.fl", plain / "again", check=False)
    assert strict.returncode == 1
    assert [path.read_text() for path in sorted((plain / "again").iterdir())] == names
