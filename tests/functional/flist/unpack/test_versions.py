"""A random version of a tree unpacked over another gives the same as into an empty directory."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from flist.model import Route
from flist.pack.pack import pack
from flist.store.sources import Sources
from flist.unpack.unpack import unpack
from tests.helpers.flist.trees import describe, make_acl
from tests.helpers.flist.versions import make_version, remove_others
from tests.helpers.needs import need_root

VERSIONS = 3


def describe_content(root: Path) -> dict[str, dict[str, Any]]:
    """Describe a tree without the holes of its files: a file with the right bytes is kept."""
    found = describe(root)
    for row in found.values():
        row.pop("data", None)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    need_root()
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    choose = random.Random(seed)
    out, meta = tmp_path / "out", tmp_path / "a.fl"
    out.mkdir()
    if seed % 2:
        os.setxattr(out, "system.posix_acl_default", make_acl(3, others=7))
    for _ in range(VERSIONS):
        tree = make_version(tmp_path / "tree", choose)
        pack(tree, meta, [Route(0, 255, f"dir://{tmp_path}/blocks")])
        remove_others(out, tree)
        for _ in range(2):
            sources = Sources(wait_s=0)
            done = unpack(meta, out, sources, is_owner_kept=True, processes=1 + seed % 2)
            assert not (done.problems or done.broken)
            assert describe_content(out) == describe_content(tree)
        assert done.size_bytes == 0, "a second run writes nothing"
