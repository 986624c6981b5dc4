"""Damaged and missing blocks: `verify` finds them in every store, and three commands mend them."""

import json
import random
import shutil
from pathlib import Path

import pytest

from tests.helpers.flist.mount import rfs


@pytest.fixture(name="meta")
def pack_to_two_stores(tmp_path: Path) -> Path:
    """Return a flist whose blocks are in the stores `one` and `two`."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(random.Random(1).randbytes(1_200_000))
    stores = [word for name in ("one", "two") for word in ("-s", f"dir://{tmp_path}/{name}")]
    rfs("pack", "-m", tmp_path / "a.fl", *stores, tmp_path / "tree")
    return tmp_path / "a.fl"


def a_block(store: Path, number: int = 0) -> Path:
    """Return the file of a block."""
    return sorted(store.glob("*/*"))[number]


def damage(path: Path) -> None:
    """Change some bytes of a file, whose size stays."""
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"wrong" + data[105:])


def test_verify_looks_into_every_store(tmp_path: Path, meta: Path) -> None:
    damage(a_block(tmp_path / "two"))
    for _ in range(4):  # the order of the mirrors is random
        done = rfs("verify", "-m", meta, check=False)
        assert done.returncode == 1 and f"(in dir://{tmp_path}/two)" in done.stdout
        assert f"{tmp_path}/one" not in done.stdout
    rfs("verify", "-m", meta, "--store", f"dir://{tmp_path}/one")


def test_verify_tells_of_a_store_that_is_down_once(tmp_path: Path, meta: Path) -> None:
    dead = "http://127.0.0.1:9"
    stores = ("--store", f"dir://{tmp_path}/one", "--store", dead)
    done = rfs("verify", "-m", meta, *stores, "--wait", "0", check=False)
    assert done.returncode == 1
    assert [line.startswith(f"{dead}: not all") for line in done.stdout.splitlines()] == [True]


def test_verify_says_that_a_mirror_lacks_a_block(tmp_path: Path, meta: Path) -> None:
    a_block(tmp_path / "one").unlink()
    done = rfs("verify", "-m", meta, "--json")
    assert json.loads(done.stdout)["lacking"] == 1
    a_block(tmp_path / "two").unlink()
    done = rfs("verify", "-m", meta, check=False)
    assert done.returncode == 1 and "/file: cannot read block" in done.stdout


def test_repair_mends_from_the_other_store(tmp_path: Path, meta: Path) -> None:
    damage(a_block(tmp_path / "one"))
    a_block(tmp_path / "two", 1).unlink()
    done = rfs("repair", "-m", meta, "--json")
    assert json.loads(done.stdout) == {"blocks": 3, "mended": 2, "faults": []}
    for name in ("one", "two"):
        rfs("verify", "-m", meta, "--store", f"dir://{tmp_path}/{name}")


def test_repair_takes_blocks_from_elsewhere(tmp_path: Path, meta: Path) -> None:
    shutil.copytree(tmp_path / "one", tmp_path / "spare")
    for name in ("one", "two"):
        damage(a_block(tmp_path / name))
    done = rfs("repair", "-m", meta, check=False)
    assert done.returncode == 1 and "cannot mend block" in done.stdout
    rfs("repair", "-m", meta, "--from", f"dir://{tmp_path}/spare")
    rfs("verify", "-m", meta)


def test_clone_replaces_damaged_blocks(tmp_path: Path, meta: Path) -> None:
    damage(a_block(tmp_path / "one"))
    two, one = f"dir://{tmp_path}/two", f"dir://{tmp_path}/one"
    done = rfs("clone", "-m", meta, "--from", two, "-s", one)
    assert "copied 1 blocks" in done.stderr
    rfs("verify", "-m", meta)


def test_pack_replaces_damaged_blocks_if_asked_to(tmp_path: Path, meta: Path) -> None:
    damage(a_block(tmp_path / "one"))
    words = ("pack", "-m", meta, "-s", f"dir://{tmp_path}/one", tmp_path / "tree")
    rfs(*words)
    assert rfs("verify", "-m", meta, check=False).returncode == 1
    rfs(words[0], "--checksum", *words[1:])
    rfs("verify", "-m", meta)
