"""Signatures on a hub: an unsigned flist replaces no signed one; `verify` judges what is there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.flist.hub import TOKEN, fetch, make_root
from tests.helpers.flist.mount import Hub, rfs, serving
from tests.helpers.flist.trees import make_small_tree


@pytest.fixture(name="hub")
def make_hub(tmp_path: Path) -> Iterator[Hub]:
    """Serve a hub that takes things."""
    with serving(make_root(tmp_path / "hub")) as hub:
        yield hub


@pytest.fixture(name="meta")
def make_meta(hub: Hub, tmp_path: Path) -> Path:
    """Return a flist, and make the keys `key` and `key.pub`."""
    tree = make_small_tree(tmp_path / "tree")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"server://{hub.url}?token={TOKEN}", tree)
    rfs("keygen", tmp_path / "key")
    return tmp_path / "a.fl"


@pytest.mark.parametrize("place", ["inside", "beside"])
def test_an_unsigned_flist_replaces_no_signed_one(
    hub: Hub, meta: Path, tmp_path: Path, place: str
) -> None:
    plain = tmp_path / "plain.fl"
    plain.write_bytes(meta.read_bytes())
    words = ["--inside"] if place == "inside" else []
    target = ("-s", hub.url, "--token", TOKEN, "me/tree.fl")
    rfs("publish", "-m", plain, *target)
    rfs("publish", "-m", plain, *target)  # over an unsigned one
    rfs("sign", "-m", meta, "-k", tmp_path / "key", "-n", "me/tree", *words)
    rfs("publish", "-m", meta, *target)
    done = rfs("publish", "-m", plain, *target, check=False)
    assert done.returncode == 1 and "--unsigned" in done.stderr
    assert fetch(f"{hub.url}/me/tree.fl") == meta.read_bytes()
    rfs("publish", "-m", meta, *target)
    rfs("publish", "-m", plain, "--unsigned", *target)
    assert fetch(f"{hub.url}/me/tree.fl") == plain.read_bytes()


def test_verify_takes_an_address(hub: Hub, meta: Path, tmp_path: Path) -> None:
    rfs("sign", "-m", meta, "-k", tmp_path / "key", "-n", "me/tree")
    rfs("publish", "-m", meta, "-s", hub.url, "--token", TOKEN, "me/tree.fl")
    url = f"{hub.url}/me/tree.fl"
    done = rfs("verify", "-m", url, "--key", tmp_path / "key.pub", "--json")
    assert json.loads(done.stdout)["signature"] == "me/tree"
    rfs("keygen", tmp_path / "other")
    assert rfs("verify", "-m", url, "--key", tmp_path / "other.pub", check=False).returncode == 1
    assert rfs("verify", "-m", f"{hub.url}/me/none.fl", check=False).returncode == 1
    folder = tmp_path / "plain" / "flists" / "me"
    folder.mkdir(parents=True)
    (folder / "tree.fl").write_bytes(meta.read_bytes())
    (folder / "tree.fl.sig").write_text("not one")
    with serving(tmp_path / "plain") as plain:
        assert rfs("verify", "-m", f"{plain.url}/me/tree.fl", check=False).returncode == 1


def test_verify_without_a_key_says_so(meta: Path, tmp_path: Path) -> None:
    assert "no signature was checked" in rfs("verify", "-m", meta).stderr
    assert json.loads(rfs("verify", "-m", meta, "--json").stdout)["signature"] is None
    rfs("sign", "-m", meta, "-k", tmp_path / "key", "-n", "me/tree")
    assert "says that it is signed as me/tree" in rfs("verify", "-m", meta).stderr
    rfs("config", "-m", meta, "tag", "add", "-t", "a=b")  # now it is another file
    done = rfs("verify", "-m", meta, check=False)
    assert done.returncode == 1 and "not the file that was signed" in done.stderr
    done = rfs("verify", "-m", meta, "--key", tmp_path / "key.pub", check=False)
    assert done.returncode == 1
