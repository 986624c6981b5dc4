"""Directories that somebody swaps for links while root unpacks, and paths of any length."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flist import folders
from flist.model import Route
from flist.pack.pack import pack
from flist.store.sources import Sources
from flist.unpack import unpack as module
from flist.unpack.unpack import Summary, unpack
from tests.helpers.flist.trees import describe

DEPTH, NAME = 400, "a-directory-in-a-deep-tree"


@pytest.fixture(autouse=True)
def use_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the records of packed directories here."""
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(name="meta")
def make_meta(tmp_path: Path) -> Path:
    """Pack a tree with every kind of entry in a directory."""
    folder = tmp_path / "tree" / "top" / "sub"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_text("from the flist")
    (folder / "inner" / "file").write_text("from the flist, too")
    (folder / "link").symlink_to("file")
    os.mkfifo(folder / "fifo")
    os.link(folder / "file", folder / "name")
    folder.chmod(0o777)
    return do_pack(tmp_path / "tree", tmp_path / "a.fl")


def do_pack(root: Path, meta: Path) -> Path:
    """Pack a directory."""
    pack(root, meta, [Route(0, 255, f"dir://{meta.parent}/blocks")], processes=1)
    return meta


def make_victim(tmp_path: Path) -> Path:
    """Make a directory that an unpack must not touch."""
    victim = tmp_path / "victim"
    (victim / "inner").mkdir(parents=True)
    (victim / "file").write_text("precious")
    (victim / "inner" / ".rfs-1-1").write_text("looks like a scratch file of a dead process")
    victim.chmod(0o700)
    return victim


@pytest.mark.parametrize("kept_handles", [128, 1])
@pytest.mark.parametrize("moment", ["find_shared", "restore_files", "restore_rest"])
@pytest.mark.parametrize("is_over", [False, True])
def test_nothing_is_written_through_a_link(
    meta: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    kept_handles: int,
    is_over: bool,
) -> None:
    """Whether the directory is open at that moment or has to be opened again; into an empty
    directory or over a tree."""
    victim, out = make_victim(tmp_path), tmp_path / "out"
    before = describe(victim)
    monkeypatch.setattr(folders, "KEPT_HANDLES", kept_handles)
    if is_over:
        do_unpack(meta, out)
        (out / "top" / "sub" / "file").write_text("changed")
    original: Callable[..., Any] = getattr(module, moment)
    has_swapped = []

    def swap_first(*words: Any) -> Any:
        (out / "top" / "sub").rename(out / "moved")
        (out / "top" / "sub").symlink_to(victim)
        has_swapped.append(moment)
        return original(*words)

    monkeypatch.setattr(module, moment, swap_first)
    done = do_unpack(meta, out)
    assert describe(victim) == before
    if has_swapped and kept_handles == 1:
        assert any("top/sub" in line for line in done.broken)
    assert bool(has_swapped) == (is_over or moment != "find_shared")


def do_unpack(meta: Path, out: Path) -> Summary:
    """Unpack in this process."""
    return unpack(meta, out, Sources(), processes=1, is_owner_kept=True)


@pytest.fixture(name="deep")
def make_deep(tmp_path: Path) -> Iterator[Path]:
    """Make a tree whose paths are longer than PATH_MAX, with a file, a link and a name at its
    end."""
    root = tmp_path / "deep"
    root.mkdir()
    handle = os.open(root, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir(NAME, dir_fd=handle)
        inner = os.open(NAME, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    with open("file", "w", opener=lambda n, flags: os.open(n, flags, dir_fd=handle)) as stream:
        stream.write("at the bottom")
    os.setxattr(f"/proc/self/fd/{handle}/file", "user.note", b"deep")
    os.symlink("file", "link", dir_fd=handle)
    os.link("file", "name", src_dir_fd=handle, dst_dir_fd=handle)
    os.close(handle)
    yield root


def test_paths_may_be_longer_than_the_kernel_allows(deep: Path, tmp_path: Path) -> None:
    meta = do_pack(deep, tmp_path / "a.fl")
    done = do_unpack(meta, tmp_path / "out")
    assert (done.broken, done.problems, done.inodes) == ([], [], DEPTH + 4)
    again = do_pack(tmp_path / "out", tmp_path / "b.fl")
    assert again.read_bytes() == meta.read_bytes()
    assert do_unpack(meta, tmp_path / "out").kept == 1
