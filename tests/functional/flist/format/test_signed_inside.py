"""Signatures inside a flist, as `sign` makes and other commands demand them."""

from pathlib import Path

import pytest

from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.trees import describe, make_small_tree


@pytest.fixture(name="meta")
def make_meta(tmp_path: Path) -> Path:
    """Pack a tree and sign it inside."""
    make_small_tree(tmp_path / "tree")
    meta = tmp_path / "a.fl"
    rfs("pack", "-m", meta, "-s", f"dir://{tmp_path / 'blocks'}", tmp_path / "tree")
    rfs("keygen", tmp_path / "key")
    rfs("keygen", tmp_path / "other")
    rfs("sign", "--inside", "-m", meta, "-k", tmp_path / "key", "-n", "me/tree")
    assert not (tmp_path / "a.fl.sig").exists()
    return meta


def test_every_command_accepts_it(meta: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["-m", meta, "--key", tmp_path / "key.pub", "--name", "me/tree"]
    rfs("verify", *words)
    assert "me/tree" in rfs("inspect", meta).stdout
    rfs("unpack", *words, tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tmp_path / "tree")
    target = tmp_path / "mnt"
    target.mkdir()
    with mounted(meta, target, "--key", tmp_path / "key.pub"):
        assert describe(target) == describe(tmp_path / "tree")
    rfs("clone", *words, "-s", f"dir://{tmp_path / 'other-blocks'}")
    refused = rfs("verify", *words, check=False)  # clone changed its stores
    assert refused.returncode == 1
    assert "can't be read" in refused.stderr


def test_nothing_is_done_with_the_wrong_key_or_name(meta: Path, tmp_path: Path) -> None:
    target = tmp_path / "mnt"
    target.mkdir()
    blocks = f"dir://{tmp_path / 'elsewhere'}"
    for key, name in (("other", "me/tree"), ("key", "me/other")):
        words: list[str | Path] = ["-m", meta, "--key", tmp_path / f"{key}.pub", "--name", name]
        for command in (
            ["mount", *words, target], ["unpack", *words, tmp_path / "out"],
            ["clone", *words, "-s", blocks], ["verify", *words],
        ):  # fmt: skip
            refused = rfs(*command, check=False)
            assert refused.returncode == 1
            assert "signed" in refused.stderr
    assert not list(target.iterdir())
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_options_that_exclude_each_other(meta: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["sign", "-m", meta, "-k", tmp_path / "key", "-n", "x"]
    for more in (["--replace"], ["--inside", "-o", "x"]):
        refused = rfs(*words, *more, check=False)
        assert refused.returncode == 2
        assert "cannot sign" in refused.stderr
