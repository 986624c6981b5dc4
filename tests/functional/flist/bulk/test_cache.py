"""Commands that read from the cache or fill it: clone, convert, prefetch."""

import json
import random
from pathlib import Path

import pytest

from tests.helpers.flist.mount import rfs
from tests.helpers.flist.servers import redis_server
from tests.helpers.flist.trees import describe, make_small_tree


@pytest.fixture(name="packed")
def make_packed(tmp_path: Path) -> Path:
    """Pack the small tree as a.fl with its blocks in `blocks`."""
    tree = make_small_tree(tmp_path / "tree")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    return tmp_path / "a.fl"


def names(folder: Path) -> set[str]:
    """Return the names of all blocks in a folder."""
    return {path.name for path in folder.glob("*/*")}


@pytest.mark.parametrize("command", ["clone", "convert"])
def test_a_full_cache_is_sufficient(packed: Path, tmp_path: Path, command: str) -> None:
    cache = tmp_path / "cache"
    rfs("prefetch", "-m", packed, "-c", cache)
    (tmp_path / "blocks").rename(tmp_path / "gone")
    output: list[str | Path] = ["-o", tmp_path / "b.fl"] if command == "convert" else []
    where = ["-s", f"dir://{tmp_path}/other"]
    rfs(command, "-m", packed, *output, *where, "-c", cache, "--offline")
    assert names(tmp_path / "other") == names(tmp_path / "gone")
    rfs("unpack", "-m", output[-1] if output else packed, tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tmp_path / "tree")


def test_a_block_that_is_not_in_the_cache_is_named(packed: Path, tmp_path: Path) -> None:
    before = packed.read_bytes()
    words: list[str | Path] = [
        "-s",
        f"dir://{tmp_path}/other",
        "-c",
        tmp_path / "cache",
        "--offline",
    ]
    done = rfs("clone", "-m", packed, *words, check=False)
    assert done.returncode == 1
    assert "is not in the cache, and we are offline" in done.stderr
    assert packed.read_bytes() == before


def test_a_clone_from_a_server_fills_the_cache(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    meta, cache = tmp_path / "a.fl", tmp_path / "cache"
    with redis_server(tmp_path) as port:
        rfs("pack", "-m", meta, "-s", f"redis://127.0.0.1:{port}", tree)
        first = meta.read_bytes()
        rfs("clone", "-m", meta, "-s", f"dir://{tmp_path}/one", "-c", cache)
    assert names(cache) == names(tmp_path / "one")
    meta.write_bytes(first)
    rfs("clone", "-m", meta, "-s", f"dir://{tmp_path}/two", "-c", cache, "--offline")
    assert names(cache) == names(tmp_path / "two")


def test_a_damaged_cached_block_is_not_copied(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    meta, cache = tmp_path / "a.fl", tmp_path / "cache"
    with redis_server(tmp_path) as port:
        rfs("pack", "-m", meta, "-s", f"redis://127.0.0.1:{port}", tree)
        rfs("prefetch", "-m", meta, "-c", cache)
        for path in cache.glob("*/*"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        rfs("clone", "-m", meta, "-s", f"dir://{tmp_path}/blocks", "-c", cache)
    rfs("verify", "-m", meta)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_prefetch_continues_after_a_bad_block(
    packed: Path, tmp_path: Path, *, is_damaged: bool
) -> None:
    wrong = sorted((tmp_path / "blocks").glob("*/*"))[2:5]
    for path in wrong:
        if is_damaged:
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        else:
            path.unlink()
    cache = tmp_path / "cache"
    done = rfs("prefetch", "-m", packed, "-c", cache, "--wait", "1", check=False)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == len(wrong)
    assert all(path.name in line for path, line in zip(wrong, lines, strict=True))
    count = json.loads(rfs("inspect", "--json", packed).stdout)["blocks"]
    assert f"fetched {count - 3} blocks" in done.stderr
    assert "3 could not be had" in done.stderr
    assert len(names(cache)) == count - 3


def test_prefetch_ends_when_a_store_is_down(packed: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["--store", "zdb://127.0.0.1:1", "-c", tmp_path / "cache"]
    words += ["--wait", "0"]
    done = rfs("prefetch", "-m", packed, *words, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_a_prefetch_that_does_not_fit_says_so(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(random.Random(1).randbytes(4 << 20))
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "tree")
    words = ("prefetch", "-m", tmp_path / "a.fl", "-c", tmp_path / "cache", "--cache-size")
    done = rfs(*words, "2M", check=False)
    assert done.returncode == 1
    assert "they do not fit into 2097152 bytes" in done.stdout
    rfs(*words, "8M")
