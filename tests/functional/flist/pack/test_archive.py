"""`pack` of tar archives: the same as packing the tree in them."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from tests.helpers.flist.mount import rfs
from tests.helpers.flist.registry import make_layer, member
from tests.helpers.flist.trees import describe, make_odd_tree, make_small_tree
from tests.helpers.needs import need_root, need_tool


def tar(tree: Path, output: Path, *words: str) -> None:
    """Make an archive with GNU tar."""
    need_tool("tar")
    subprocess.run(["tar", *words, "-cf", output, "-C", tree, "."], check=True)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "tar.zst", "tar.xz"])
def test_an_archive_gives_the_flist_of_its_tree(tmp_path: Path, suffix: str) -> None:
    tree = make_small_tree(tmp_path / "tree")
    store = f"dir://{tmp_path}/blocks"
    if suffix == "tar.zst":
        need_tool("zstd")
    tar(tree, tmp_path / f"a.{suffix}", "--format=pax", "-S", "-a")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", store, tree)
    done = rfs("pack", "--json", "-m", tmp_path / "b.fl", "-s", store, tmp_path / f"a.{suffix}")
    assert rfs("diff", tmp_path / "a.fl", tmp_path / "b.fl").stdout == ""
    counts = json.loads(done.stdout)
    assert (counts["regular"], counts["symlink"], counts["directory"]) == (10, 2, 2)
    assert (counts["special"], counts["failure"]) == (1, 0)


def test_odd_entries_of_an_archive(tmp_path: Path) -> None:
    """All but sockets, which tar leaves out."""
    need_root()
    tree = make_odd_tree(tmp_path / "tree")
    (tree / "socket").unlink()
    store = f"dir://{tmp_path}/blocks"
    tar(tree, tmp_path / "a.tar", "--format=pax", "-S", "--xattrs", "--xattrs-include=*")
    rfs("pack", "-m", tmp_path / "b.fl", "-s", store, tmp_path / "a.tar")
    rfs("unpack", "-p", "-m", tmp_path / "b.fl", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)


def test_an_archive_becomes_an_older_flist(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    store = f"dir://{tmp_path}/blocks"
    tar(tree, tmp_path / "a.tar.gz", "-z")
    rfs("pack", "-m", tmp_path / "a.flist", "-s", store, tmp_path / "a.tar.gz")
    rfs("unpack", "-m", tmp_path / "a.flist", "--store", store, tmp_path / "out")
    for path in ("big", "empty", "sub/text", "sub/deeper/naïve 日本"):
        assert (tmp_path / "out" / path).read_bytes() == (tree / path).read_bytes()


def test_what_cannot_be_packed_is_refused(tmp_path: Path) -> None:
    store = f"dir://{tmp_path}/blocks"
    files = {
        "no": b"this is no archive",
        "escape": make_layer(member("../../x", b"x")),
        "cut": gzip.compress(make_layer(member("x", bytes(100_000))))[:-9],
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        words = ["pack", "-m", str(tmp_path / "a.fl"), "-s", store, str(tmp_path / name)]
        done = rfs(*words, check=False)
        assert done.returncode == 1
        assert str(tmp_path / name) in done.stderr
        assert not (tmp_path / "a.fl").exists()
    for option in (["--strict"], ["--exclude", "x"], ["--one-file-system"], ["--checksum"]):
        done = rfs(
            "pack", "-m", tmp_path / "a.fl", "-s", store, *option, tmp_path / "no", check=False
        )
        assert (done.returncode, option[0] in done.stderr) == (2, True)
    words = ["pack", "-m", str(tmp_path / "a.fl"), "-s", store, str(tmp_path / "escape")]
    done = rfs(*words, "--max-size", "1K", check=False)
    assert (done.returncode, "--max-size" in done.stderr) == (1, True)


def test_mistakes_in_services_are_named(tmp_path: Path) -> None:
    data = make_layer(member("etc/zinit/bad.yaml", b"exec: [\n"))
    (tmp_path / "a.tar").write_bytes(data)
    done = rfs(
        "pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "a.tar"
    )
    assert "warning: etc/zinit/bad.yaml" in done.stderr
