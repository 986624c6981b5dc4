"""Which entries are packed: patterns, the pack's own files, other file systems, and what changes
meanwhile."""

import os
import subprocess
from pathlib import Path

import pytest

from flist.errors import FlistError
from flist.format.nodes import load_nodes
from flist.format.opening import open_flist
from flist.model import CHUNK_BYTES, Block, Route
from flist.pack import encoder, scan
from flist.pack.choice import compile_pattern
from flist.pack.pack import Summary, pack
from flist.pack.scan import Walk
from tests.helpers.needs import need_root


@pytest.fixture(name="tree")
def make_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a tree; keep the records of packed directories away from the user's."""
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    for name in ("a/keep", "a/x.pyc", "b/a/x.pyc", "b/keep", "top"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "tree"


def do_pack(tree: Path, meta: Path, store: Path, *exclude: str, is_one: bool = False) -> Summary:
    """Pack a tree in this process."""
    routes = [Route(0, 255, f"dir://{store}")]
    return pack(tree, meta, routes, exclude=exclude, is_one_file_system=is_one, processes=1)


def names(meta: Path) -> set[str]:
    """Return the paths in a flist."""
    with open_flist(meta) as flist:
        return {os.fsdecode(path) for path in load_nodes(flist)} - {"/"}


ALL = {"/a", "/a/keep", "/a/x.pyc", "/b", "/b/a", "/b/a/x.pyc", "/b/keep", "/top"}


@pytest.mark.parametrize(
    ("patterns", "left_out"),
    [
        (("*.pyc",), {"/a/x.pyc", "/b/a/x.pyc"}),
        (("a",), {"/a", "/a/keep", "/a/x.pyc", "/b/a", "/b/a/x.pyc"}),
        (("/a",), {"/a", "/a/keep", "/a/x.pyc"}),
        (("/a/",), {"/a", "/a/keep", "/a/x.pyc"}),
        (("b/a/*",), {"/b/a/x.pyc"}),
        (("b/*.pyc", "top"), {"/b/a/x.pyc", "/top"}),
        (("to?", "k[ef]ep"), {"/top", "/a/keep", "/b/keep"}),
        (("op", "to"), set()),
    ],
)
def test_patterns(
    tree: Path, tmp_path: Path, patterns: tuple[str, ...], left_out: set[str]
) -> None:
    done = do_pack(tree, tmp_path / "a.fl", tmp_path / "s", *patterns)
    assert names(tmp_path / "a.fl") == ALL - left_out
    assert done.left_out == []


def test_a_pattern_without_a_slash_is_for_the_name_alone() -> None:
    pattern = compile_pattern("a*")
    assert pattern.search(b"/x/ab") and pattern.search(b"/a\n\xff")
    assert not pattern.search(b"/a/b")


def test_the_flist_and_its_store_are_left_out_of_the_tree(tree: Path) -> None:
    """Also by a second pack, when both exist; and when the store's parents have to be made."""
    store = tree / "b" / "new" / "store"
    done = do_pack(tree, tree / "a.fl", store)
    assert names(tree / "a.fl") == ALL
    assert done.left_out in ([], [f"{tree}/b/new: it is a store"])
    done = do_pack(tree, tree / "a.fl", store)
    assert names(tree / "a.fl") == ALL | {"/b/new"}
    assert sorted(done.left_out) == [
        f"{tree}/a.fl: it is the flist itself",
        f"{tree}/b/new/store: it is a store",
    ]


def test_other_file_systems(tree: Path, tmp_path: Path) -> None:
    """What the kernel shows is never packed, the rest if the user does not forbid it."""
    need_root()
    for name, kind in (("proc", "proc"), ("tmp", "tmpfs")):
        (tree / name).mkdir()
        subprocess.run(["mount", "-t", kind, kind, tree / name], check=True)
    try:
        (tree / "tmp" / "file").write_text("in memory")
        done = do_pack(tree, tmp_path / "a.fl", tmp_path / "s")
        assert names(tmp_path / "a.fl") == ALL | {"/proc", "/tmp", "/tmp/file"}
        assert done.left_out == [f"{tree}/proc: what is in it, for it is a proc file system"]
        done = do_pack(tree, tmp_path / "b.fl", tmp_path / "s", is_one=True)
        assert names(tmp_path / "b.fl") == ALL | {"/proc", "/tmp"}
        assert done.left_out == []
    finally:
        for name in ("proc", "tmp"):
            subprocess.run(["umount", tree / name], check=True)


def test_what_vanishes_is_left_out(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file before it is described, another before it is read, and a directory."""
    add, open_file = Walk.add, encoder.Encoder.open_file

    def add_late(self: Walk, folder: scan.Folder, ino: int, name: bytes, *words: object) -> bool:
        if name == b"top":
            (tree / "top").unlink()
            raise FileNotFoundError
        found = add(self, folder, ino, name, *words)  # type: ignore[arg-type]
        if folder.path + b"/" + name == b"/b/a":
            (tree / "b" / "a" / "x.pyc").unlink()
            (tree / "b" / "a").rmdir()
        return found

    def open_late(self: encoder.Encoder, path: bytes) -> int | None:
        (tree / "a" / "keep").unlink(missing_ok=True)
        return open_file(self, path)

    monkeypatch.setattr(Walk, "add", add_late)
    monkeypatch.setattr(encoder.Encoder, "open_file", open_late)
    done = do_pack(tree, tmp_path / "a.fl", tmp_path / "s")
    gone = {"/top", "/b/a", "/b/a/x.pyc", "/a/keep"}
    assert names(tmp_path / "a.fl") == ALL - gone
    assert sorted(done.left_out) == [
        f"{tree}/{name}: it vanished" for name in ("a/keep", "b/a", "top")
    ]
    assert (done.inodes, done.size_bytes) == (5, len("a/x.pyc") + len("b/keep"))


@pytest.mark.parametrize("what", ["link", "fifo", "folder above"])
def test_nothing_is_read_through_a_link(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Somebody swaps a file, or a directory, after it was listed and before it is read."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "keep").write_text("secret")
    open_file = encoder.Encoder.open_file

    def swap_first(self: encoder.Encoder, path: bytes) -> int | None:
        if path == b"/a/keep" and not (tree / "moved").exists():
            (tree / "moved").mkdir()
            if what == "folder above":
                (tree / "a").rename(tree / "moved" / "a")
                (tree / "a").symlink_to(secret)
                for handle in self.folders.kept.values():
                    os.close(handle)
                self.folders.kept.clear()
            else:
                (tree / "a" / "keep").unlink()
                if what == "fifo":
                    os.mkfifo(tree / "a" / "keep")
                else:
                    (tree / "a" / "keep").symlink_to(secret / "keep")
        return open_file(self, path)

    monkeypatch.setattr(encoder.Encoder, "open_file", swap_first)
    done = do_pack(tree, tmp_path / "a.fl", tmp_path / "s")
    assert f"{tree}/a/keep: it vanished" in done.left_out
    assert "/a/keep" not in names(tmp_path / "a.fl")


def test_a_file_with_several_names_must_not_vanish(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(tree / "a" / "keep", tree / "b" / "more")
    monkeypatch.setattr(encoder.Encoder, "open_file", lambda *_: None)
    with pytest.raises(FlistError, match="several names"):
        do_pack(tree, tmp_path / "a.fl", tmp_path / "s")
    assert not (tmp_path / "a.fl").exists()


def test_holes_are_not_read(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is the same as that of a file without holes."""
    size = 20 * CHUNK_BYTES + 100
    with (tree / "sparse").open("wb") as stream:
        stream.seek(7 * CHUNK_BYTES + 5)
        stream.write(b"data")
        stream.truncate(size)
    (tree / "full").write_bytes((tree / "sparse").read_bytes())
    reads: dict[int, int] = {}
    pread = os.pread

    def count(handle: int, length: int, offset: int) -> bytes:
        number = os.fstat(handle).st_ino
        reads[number] = reads.get(number, 0) + 1
        return pread(handle, length, offset)

    monkeypatch.setattr(os, "pread", count)
    do_pack(tree, tmp_path / "a.fl", tmp_path / "s")
    assert reads[(tree / "sparse").stat().st_ino] == 1
    assert reads[(tree / "full").stat().st_ino] == 21
    blocks: dict[bytes, tuple[Block, ...]] = {}
    with open_flist(tmp_path / "a.fl") as flist:
        blocks = {path: node.blocks for path, node in load_nodes(flist).items()}
    assert blocks[b"/sparse"] == blocks[b"/full"]
    assert len(blocks[b"/sparse"]) == 21
