"""Unpacks over an existing tree: another version, other owners, damage. The result is that of an
unpack into an empty directory, and only missing chunks are fetched."""

import os
import stat
from pathlib import Path

import pytest

from tests.helpers.flist.mount import rfs
from tests.helpers.flist.trees import (
    MIB,
    describe,
    make_acl,
    make_odd_tree,
    make_small_tree,
    run_rsync_compare,
)
from tests.helpers.needs import need_root, need_tool

SAME_TIME = (10**18, 10**18)


@pytest.fixture(name="tree")
def make_tree(tmp_path: Path) -> Path:
    """Make an empty tree."""
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


@pytest.fixture(name="out")
def name_out(tmp_path: Path) -> Path:
    """Return the path to unpack to."""
    return tmp_path / "out"


def pack(tree: Path) -> Path:
    """Pack a tree as a.fl beside it, with its blocks in `blocks`."""
    meta = tree.parent / "a.fl"
    rfs("pack", "-m", meta, "-s", f"dir://{tree.parent}/blocks", tree)
    return meta


def hide_blocks(meta: Path) -> None:
    """Make every fetch fail."""
    (meta.parent / "blocks").rename(meta.parent / "hidden")


def change_times(root: Path) -> dict[Path, tuple[int, int]]:
    """Return inode and ctime of everything below `root`, without links."""
    every = [root, *root.rglob("*")]
    states = {path: path.lstat() for path in every if path.is_dir() or path.is_file()}
    return {path: (s.st_ino, s.st_ctime_ns) for path, s in states.items() if not path.is_symlink()}


def test_owners_and_attributes_are_restored_without_a_fetch(tmp_path: Path, out: Path) -> None:
    need_root()
    tree = make_odd_tree(tmp_path / "tree")
    meta = pack(tree)
    rfs("unpack", "-m", meta, out)
    assert describe(out) != describe(tree)
    os.removexattr(out / "one", b"user.note")
    os.removexattr(out / "chunk+1", b"system.posix_acl_access")
    os.setxattr(out / "big", b"user.more", b"1")
    os.setxattr(out / "sub", b"user.folder", b"changed")
    for folder in (out, out / "sub" / "deeper"):
        os.setxattr(folder, b"user.more", b"1")
        os.setxattr(folder, b"system.posix_acl_default", make_acl(9))
    hide_blocks(meta)
    rfs("unpack", "-p", "-m", meta, out)
    assert describe(out) == describe(tree)
    need_tool("rsync")
    assert run_rsync_compare(out, tree) == ""


def test_right_entries_are_not_touched(tmp_path: Path, out: Path) -> None:
    need_root()
    tree = make_odd_tree(tmp_path / "tree")
    meta = pack(tree)
    rfs("unpack", "-p", "-m", meta, out)
    hide_blocks(meta)
    before = change_times(out)
    rfs("unpack", "-p", "-m", meta, out)
    done = rfs("unpack", "-m", meta, out)
    found = change_times(out)
    for path, state in before.items():
        assert path.stat().st_nlink > 1 or found[path] == state, path
    assert ", 0 bytes, " in done.stderr
    assert describe(out) == describe(tree)


def test_other_content_of_the_same_size_and_time_is_replaced(tree: Path, out: Path) -> None:
    (tree / "small").write_bytes(b"one")
    (tree / "large").write_bytes(b"1" * (3 * MIB))
    for name in ("small", "large"):
        os.utime(tree / name, ns=SAME_TIME)
    rfs("unpack", "-m", pack(tree), out)
    (tree / "small").write_bytes(b"two")
    with (tree / "large").open("r+b") as stream:
        stream.seek(2 * MIB)
        stream.write(b"2")
    for name in ("small", "large"):
        os.utime(tree / name, ns=SAME_TIME)
    rfs("unpack", "-m", pack(tree), out)
    assert describe(out) == describe(tree)


def test_only_missing_chunks_are_fetched(tree: Path, out: Path) -> None:
    """One of six chunks has changed; the others are no longer in the store."""
    (tree / "large").write_bytes(b"".join(bytes([n]) * MIB for n in range(3)))
    meta = pack(tree)
    rfs("unpack", "-m", meta, out)
    old = set((tree.parent / "blocks").glob("*/*"))
    with (tree / "large").open("r+b") as stream:
        stream.seek(MIB)
        stream.write(b"changed")
    meta = pack(tree)
    for path in old:
        path.unlink()
    assert len(list((tree.parent / "blocks").glob("*/*"))) == 1
    rfs("unpack", "-m", meta, out)
    assert describe(out) == describe(tree)


def test_damage_is_repaired(tree: Path, out: Path) -> None:
    """As after a power cut: the properties are right, but content never reached the disk."""
    make_small_tree(tree / "small")
    meta = pack(tree)
    rfs("unpack", "-m", meta, out)
    place = out / "small" / "big"
    times = place.stat().st_atime_ns, place.stat().st_mtime_ns
    with place.open("r+b") as stream:
        stream.seek(MIB)
        stream.write(bytes(1000))
    os.utime(place, ns=times)
    rfs("unpack", "-m", meta, out)
    assert describe(out) == describe(tree)


def test_damage_in_a_hole_is_repaired(tree: Path, out: Path) -> None:
    (tree / "sparse").touch()
    os.truncate(tree / "sparse", 3 * MIB)
    os.utime(tree / "sparse", ns=SAME_TIME)
    meta = pack(tree)
    rfs("unpack", "-m", meta, out)
    with (out / "sparse").open("r+b") as stream:
        stream.seek(2 * MIB)
        stream.write(b"x")
    os.utime(out / "sparse", ns=SAME_TIME)
    rfs("unpack", "-m", meta, out)
    assert describe(out) == describe(tree)


def test_files_and_folders_change_places(tree: Path, out: Path) -> None:
    for name in ("file", "link-too"):
        (tree / name).write_text("a file")
    (tree / "link").symlink_to("/etc")
    os.link(tree / "link-too", tree / "linked")
    for name in ("folder", "fifo", "name"):
        (tree / name).mkdir()
    rfs("unpack", "-m", pack(tree), out)
    for name in ("file", "link", "link-too", "linked"):
        (tree / name).unlink()
        (tree / name / "in").mkdir(parents=True)
        (tree / name / "in" / "it").write_text(name)
    for name in ("folder", "fifo", "name"):
        (tree / name).rmdir()
    (tree / "folder").write_text("no folder")
    (tree / "fifo").symlink_to("folder")
    os.link(tree / "folder", tree / "name")
    rfs("unpack", "-m", pack(tree), out)
    assert describe(out) == describe(tree)


@pytest.mark.parametrize("kind", ["file", "symlink", "second name"])
def test_a_directory_in_the_place_of_a_file_is_kept(tree: Path, out: Path, kind: str) -> None:
    """Everything else is unpacked, and the status is 1."""
    (tree / "rest").write_text("rest")
    if kind == "file":
        (tree / "name").write_text("new")
    elif kind == "symlink":
        (tree / "name").symlink_to("rest")
    else:
        os.link(tree / "rest", tree / "name")  # the first name is `name`
        (tree / "name").rename(tree / "zname")
    name = "zname" if kind == "second name" else "name"
    (out / name).mkdir(parents=True)
    (out / name / "precious").write_text("mine")
    done = rfs("unpack", "-m", pack(tree), out, check=False)
    assert done.returncode == 1
    assert f"broken: {out}/{name}: a directory is in its place" in done.stderr
    assert (out / name / "precious").read_text() == "mine"
    assert (out / "rest").read_text() == "rest"
    assert sorted(path.name for path in out.iterdir()) == sorted((name, "rest"))


def test_hard_links_change(tree: Path, out: Path) -> None:
    """Some files are no longer linked, others are linked differently."""
    for name in "abcdx":
        (tree / name).write_text("same")
        os.utime(tree / name, ns=SAME_TIME)
    pairs = {"x": "a", "c": "a", "d": "b"}
    for name, first in pairs.items():
        (tree / name).unlink()
        os.link(tree / first, tree / name)
    rfs("unpack", "-m", pack(tree), out)
    assert describe(out) == describe(tree)
    for name in "abcdx":
        (tree / name).unlink()
    for name in "acx":
        (tree / name).write_text("same")
        os.utime(tree / name, ns=SAME_TIME)
    for name, first in {"b": "a", "d": "c"}.items():
        os.link(tree / first, tree / name)
    meta = pack(tree)
    hide_blocks(meta)
    rfs("unpack", "-m", meta, out)
    assert describe(out) == describe(tree)


def test_default_access_lists_are_not_inherited(tmp_path: Path) -> None:
    """Neither from the parent of the target nor from a directory that existed already."""
    need_root()
    need_tool("rsync")
    tree = make_odd_tree(tmp_path / "tree")
    meta = pack(tree)
    parent = tmp_path / "parent"
    parent.mkdir()
    os.setxattr(parent, b"system.posix_acl_default", make_acl(1234, others=7))
    out = parent / "out"
    rfs("unpack", "-p", "-m", meta, out)
    assert run_rsync_compare(out, tree) == ""
    (out / "sub" / "text").unlink()
    (out / "sub" / "deeper" / "naïve 日本").unlink()
    (out / "sub" / "deeper").rmdir()
    os.setxattr(out, b"system.posix_acl_default", make_acl(1234, others=7))
    (out / "fifo").unlink()
    rfs("unpack", "-p", "-m", meta, out)
    assert run_rsync_compare(out, tree) == ""
    assert describe(out) == describe(tree)


def test_an_empty_target_loses_its_attributes(tree: Path, out: Path) -> None:
    out.mkdir()
    os.setxattr(out, "user.note", b"of an older version")
    rfs("unpack", "-m", pack(tree), out)
    assert describe(out) == describe(tree)


def test_setuid_bits_are_not_set_for_another_owner(tree: Path, out: Path) -> None:
    need_root()
    for name, uid, gid in (("own", 0, 0), ("user", 1234, 0), ("group", 0, 2345)):
        (tree / name).write_text(name)
        os.chown(tree / name, uid, gid)
        (tree / name).chmod(0o6755)
    meta = pack(tree)
    for _ in range(2):
        done = rfs("unpack", "-m", meta, out)
        modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in out.iterdir()}
        assert modes == {"own": "0o6755", "user": "0o2755", "group": "0o4755"}
    assert "3 files were there already" in done.stderr
    (out / "user").chmod(0o6755)
    assert f"{out}/user: setuid or setgid" in rfs("unpack", "-m", meta, out).stderr
    assert stat.S_IMODE((out / "user").stat().st_mode) == 0o2755
    rfs("unpack", "-p", "-m", meta, out)
    assert describe(out) == describe(tree)
