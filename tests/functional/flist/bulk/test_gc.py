"""Garbage collection keeps blocks that a running command relies on."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.helpers.flist.mount import rfs
from tests.helpers.flist.trees import make_small_tree

AGE_S = 3 * 3600


def age(blocks: Path) -> None:
    """Set the times of all blocks back by hours."""
    then = time.time() - AGE_S
    for path in blocks.glob("*/*"):
        os.utime(path, (then, then))


@pytest.fixture(name="keeper")
def make_keeper(tmp_path: Path) -> Path:
    """Return a flist that needs no block of the small tree; make all blocks old."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "file").write_text("what the kept flist needs")
    make_small_tree(tmp_path / "tree")
    store = f"dir://{tmp_path}/blocks"
    rfs("pack", "-m", tmp_path / "x.fl", "-s", store, tmp_path / "x")
    rfs("pack", "-m", tmp_path / "y.fl", "-s", store, tmp_path / "tree")
    age(tmp_path / "blocks")
    return tmp_path / "x.fl"


def collect(keeper: Path) -> str:
    """Collect with the default grace period; return what it printed."""
    return rfs("gc", "--keep", keeper, "--", keeper.parent / "blocks").stdout


@pytest.mark.parametrize("words", [[], ["--checksum"]])
def test_blocks_that_a_pack_relies_on_are_kept(
    keeper: Path, tmp_path: Path, words: list[str]
) -> None:
    """The pack's flist is not written yet, or not named to `gc`."""
    store = f"dir://{tmp_path}/blocks"
    rfs("pack", *words, "-m", tmp_path / "y2.fl", "-s", store, tmp_path / "tree")
    assert collect(keeper).startswith("removed 0 ")
    age(tmp_path / "blocks")
    assert not collect(keeper).startswith("removed 0 ")


def test_blocks_that_a_clone_relies_on_are_kept(keeper: Path, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "blocks", tmp_path / "source")
    words = ["-s", f"dir://{tmp_path}/blocks", "--from", f"dir://{tmp_path}/source"]
    assert "copied 0 blocks" in rfs("clone", "-m", tmp_path / "y.fl", *words).stderr
    assert collect(keeper).startswith("removed 0 ")


def test_empty_files_are_not_blocks(keeper: Path, tmp_path: Path) -> None:
    """A power cut may leave empty files; a clone and a second pack replace them."""
    del keeper
    meta, store = tmp_path / "y.fl", f"dir://{tmp_path}/blocks"
    shutil.copytree(tmp_path / "blocks", tmp_path / "source")
    commands: list[list[str | Path]] = [
        ["clone", "-m", meta, "-s", store, "--from", f"dir://{tmp_path}/source"],
        ["pack", "-m", meta, "-s", store, tmp_path / "tree"],
    ]
    for command in commands:
        for path in (tmp_path / "blocks").glob("*/*"):
            path.write_bytes(b"")
        assert rfs("exists", "-s", store, meta, check=False).stderr.startswith("0 of ")
        rfs(*command)
        assert rfs("exists", "-s", store, meta).returncode == 0
        assert rfs("verify", "-m", meta).returncode == 0


def test_a_flat_store_is_packed_read_and_collected(tmp_path: Path) -> None:
    tree, meta, flat = make_small_tree(tmp_path / "tree"), tmp_path / "a.fl", tmp_path / "flat"
    rfs("pack", "-m", meta, "-s", f"dir://{flat}?flat", tree)
    assert all(path.is_file() and len(path.name) == 64 for path in flat.iterdir())
    (flat / ("0" * 64)).write_bytes(b"garbage")
    rfs("gc", "--grace", "0", "--keep", meta, "--", flat)
    assert not (flat / ("0" * 64)).exists()
    rfs("verify", "-m", meta)
    rfs("verify", "-m", meta, "--store", f"dir://{flat}")
