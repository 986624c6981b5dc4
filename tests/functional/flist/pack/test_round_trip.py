"""A tree with every kind of entry, packed, mounted and unpacked, and compared in every detail."""

import os
import shutil
from pathlib import Path

from flist.format.database import FlistFile
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.trees import describe, make_odd_tree, make_small_tree, run_rsync_compare
from tests.helpers.needs import need_root, need_tool


def pack(tree: Path, tmp_path: Path, name: str = "a.fl") -> Path:
    meta = tmp_path / name
    rfs("pack", "-m", meta, "-s", f"dir://{tmp_path}/blocks", tree)
    return meta


def test_odd_tree_mounted(tmp_path: Path, adapter: str) -> None:
    need_root()
    tree = make_odd_tree(tmp_path / "tree")
    meta = pack(tree, tmp_path)
    expected = describe(tree)
    with mounted(meta, tmp_path / "m", "--adapter", adapter) as mount:
        found = describe(mount.path)
    if adapter == "library":  # mfusepy has no lseek, so no holes are seen
        for row in [*expected.values(), *found.values()]:
            row.pop("data", None)
    assert found == expected


def test_odd_tree_unpacked(tmp_path: Path) -> None:
    need_root()
    tree = make_odd_tree(tmp_path / "tree")
    meta = pack(tree, tmp_path)
    rfs("unpack", "-p", "-m", meta, tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)
    need_tool("rsync")
    assert run_rsync_compare(tmp_path / "out", tree) == ""


def test_times_far_from_now(tmp_path: Path) -> None:
    """A flist holds every time that a file system does: one odd file must not fail the tree."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for number, seconds in enumerate((-(1 << 40), -(1 << 31), 1 << 33, 1 << 34, 1 << 40, 1 << 62)):
        (tree / f"{number}").write_text("x")
        os.utime(
            tree / f"{number}", ns=(0, seconds * 10**9 + 1)
        )  # or the nearest time that the file system has
    meta = pack(tree, tmp_path)
    rfs("unpack", "-m", meta, tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)
    with mounted(meta, tmp_path / "m") as mount:
        assert describe(mount.path) == describe(tree)


def test_packing_is_reproducible(tmp_path: Path) -> None:
    need_root()
    tree = make_odd_tree(tmp_path / "tree")
    first = pack(tree, tmp_path)
    rfs("unpack", "-p", "-m", first, tmp_path / "copy")
    second = pack(tmp_path / "copy", tmp_path, "b.fl")
    assert first.read_bytes() == second.read_bytes()


def test_upstreams_tables_are_complete_without_ours(tmp_path: Path) -> None:
    """A reader that knows only upstream's five tables finds every name, size and block."""
    need_root()
    meta = pack(make_odd_tree(tmp_path / "tree"), tmp_path)
    with FlistFile.open(meta) as flist:
        full = list(flist.inodes())
        flist.has_extension = False
        for inode, plain in zip(full, flist.inodes(), strict=True):
            assert plain.size == inode.size
            assert plain.name == inode.name.decode(errors="replace").encode()
            if inode.is_file:
                assert len(flist.blocks(inode.ino)) == -(-inode.size // (512 * 1024))


def test_unpack_resumes_and_replaces(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    meta = pack(tree, tmp_path)
    out = tmp_path / "out"
    rfs("unpack", "-m", meta, out)
    before = (out / "big").stat().st_ino
    (out / "chunk").write_bytes(b"something else")
    (out / "sub" / "text").unlink()
    done = rfs("unpack", "-m", meta, out)
    assert "files were there already" in done.stderr
    assert (out / "big").stat().st_ino == before
    assert describe(out) == describe(tree)


def test_unpack_does_not_follow_a_link_in_place_of_a_directory(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    meta = pack(tree, tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").stat()
    rfs("unpack", "-m", meta, tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)
    assert (tmp_path / "elsewhere").stat() == before


def test_shards_and_replicas(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    low, high, both = (tmp_path / name for name in ("low", "high", "both"))
    words = ["-s", f"00-7f=dir://{low}", "-s", f"80-ff=dir://{high}", "-s", f"dir://{both}"]
    rfs("pack", "-m", tmp_path / "a.fl", *words, tree)
    names = {folder: {p.name for p in folder.glob("*/*")} for folder in (low, high, both)}
    assert names[low] | names[high] == names[both]
    assert all(name < "8" for name in names[low])
    shutil.rmtree(both)
    rfs("unpack", "-m", tmp_path / "a.fl", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)


def test_a_failed_pack_leaves_no_flist(tmp_path: Path) -> None:
    store = f"dir://{tmp_path}/blocks"
    done = rfs("pack", "-m", tmp_path / "a.fl", "-s", store, tmp_path / "none", check=False)
    assert done.returncode == 1
    assert "cannot read" in done.stderr
    assert not (tmp_path / "a.fl").exists()
