"""What a hub takes: blocks, files and flists, from those who have a token."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.flist_mount import Hub, rfs, serving
from tests.helpers.flist_trees import describe, make_small_tree

TOKEN = "a-token-of-24-characters"
WITH = ["--token", TOKEN]


@pytest.fixture(name="hub")
def make_hub(tmp_path: Path) -> Iterator[Hub]:
    """Serve a hub that takes things."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "tokens").write_text(f"# ours\n{TOKEN}\n")
    with serving(tmp_path / "hub", "127.0.0.1:0", "--tokens", tmp_path / "tokens") as hub:
        yield hub


def test_a_flist_is_packed_to_a_hub_and_published(hub: Hub, tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    meta = tmp_path / "a.fl"
    rfs("pack", "-m", meta, "-s", f"server://{hub.url}?token={TOKEN}", tree)
    assert TOKEN.encode() not in meta.read_bytes()
    rfs("keygen", tmp_path / "key")
    rfs("sign", "-m", meta, "-k", tmp_path / "key", "-n", "me/tree")
    url = rfs("publish", "-m", meta, "-s", hub.url, *WITH, "me/tree.fl").stdout
    assert url == f"{hub.url}/me/tree.fl\n"
    published = tmp_path / "hub" / "flists" / "me"
    assert (published / "tree.fl").read_bytes() == meta.read_bytes()
    assert (published / "tree.fl.sig").exists()
    words: list[str | Path] = ["-m", published / "tree.fl", "-c", tmp_path / "cache"]
    rfs("unpack", *words, "--key", tmp_path / "key.pub", "--name", "me/tree", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)
    rfs("flist-create", "-o", tmp_path / "b.fl", "-s", hub.url, *WITH, tree)
    assert (tmp_path / "b.fl").read_bytes() == meta.read_bytes()


def test_without_the_token_nothing_is_taken(hub: Hub, tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    calls: list[list[str | Path]] = [
        ["pack", "-m", tmp_path / "a.fl", "-s", f"server://{hub.url}?token=wrong", tree],
        ["pack", "-m", tmp_path / "a.fl", "-s", f"server://{hub.url}", tree],
        ["upload", "-s", hub.url, "--token", "", tree / "one"],
    ]
    for words in calls:
        done = rfs(*words, check=False)
        assert done.returncode == 1
        assert "token" in done.stderr
    assert not (tmp_path / "a.fl").exists()
    assert not (tmp_path / "hub" / "blocks").exists()
    (tmp_path / "a.fl").write_bytes(b"x")
    refused = rfs("publish", "-m", tmp_path / "a.fl", "-s", hub.url, "a/b.fl", check=False)
    assert refused.returncode == 1


@pytest.mark.parametrize("block_bytes", ["256K", "1M", "2M"])
def test_files_go_up_and_come_down(hub: Hub, tmp_path: Path, block_bytes: str) -> None:
    content = os.urandom(2_500_000)
    (tmp_path / "file").write_bytes(content)
    words = ["-s", hub.url, "-b", block_bytes]
    assert rfs("exists", *words, tmp_path / "file", check=False).returncode == 1
    name = rfs("upload", *words, *WITH, tmp_path / "file").stdout.strip()
    assert rfs("exists", *words, tmp_path / "file").returncode == 0
    assert rfs("exists", *words, name).returncode == 0
    assert rfs("exists", *words, "0" * 64, check=False).returncode == 1
    rfs("download", "-s", hub.url, "-o", tmp_path / "back", name)
    assert (tmp_path / "back").read_bytes() == content
    block = next((tmp_path / "hub" / "blocks").glob("*/*"))
    block.write_bytes(b"wrong")
    (tmp_path / "back").unlink()
    done = rfs("download", "-s", hub.url, "-o", tmp_path / "back", name, check=False)
    assert done.returncode == 1
    assert not (tmp_path / "back").exists()


def test_directories_and_syncing(hub: Hub, tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    words: list[str | Path] = ["--create-flist", "--flist-output", tmp_path / "a.fl"]
    lines = rfs("upload-dir", "-s", hub.url, *WITH, *words, tree).stdout.splitlines()
    names = {path: name for name, _, path in (line.partition("  ") for line in lines)}
    assert "sub/text" in names
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other", "127.0.0.1:0", "--tokens", tmp_path / "tokens") as other:
        pair = ["-s", hub.url, "-d", other.url, *WITH]
        rfs("sync", "-h", names["big"], *pair)
        rfs("download", "-s", other.url, "-o", tmp_path / "big", names["big"])
        assert (tmp_path / "big").read_bytes() == (tree / "big").read_bytes()
        rfs("sync", *pair)
        assert "0 blocks were missing" in rfs("sync", *pair).stderr
        store = f"server://{other.url}"
        rfs(
            "unpack",
            "-m",
            tmp_path / "a.fl",
            "--store",
            store,
            "-c",
            tmp_path / "c",
            tmp_path / "o",
        )
    assert describe(tmp_path / "o") == describe(tree)


def test_short_tokens_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("short\n")
    call = [sys.executable, "-m", "zero_os", "hub", "serve", str(tmp_path), "--tokens"]
    done = subprocess.run([*call, str(tmp_path / "tokens")], capture_output=True, check=False)
    assert done.returncode == 2
