"""A mount and an unpack reproduce a root file system of Debian packages."""

import os
import subprocess
from pathlib import Path

import pytest

from common.debian.fetch import fetch_packages
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.trees import describe, run_rsync_compare
from tests.helpers.needs import need_root, need_tool

PACKAGES = ("base-files", "bash", "iputils-ping", "mount", "openssh-client", "passwd", "perl-base",
            "tzdata")  # fmt: skip
"""They have setuid and setgid programs, groups other than root, devices and hard links."""
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


@pytest.fixture(name="tree", scope="module")
def make_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Extract the packages, and give `ping` the capability that its maintainer script sets."""
    need_root()
    need_tool("apt-get")
    need_tool("rsync")
    tree = tmp_path_factory.mktemp("debian") / "tree"
    tree.mkdir()
    archive = fetch_packages(PACKAGES)
    call: list[str | Path] = ["tar", "-xpf", archive, "-C", tree, "--numeric-owner"]
    subprocess.run(call, check=True, capture_output=True)
    os.setxattr(tree / "usr" / "bin" / "ping", "security.capability", CAPABILITY)
    return tree


@pytest.fixture(name="meta", scope="module")
def pack_tree(tree: Path) -> Path:
    """Pack the tree."""
    meta = tree.parent / "debian.fl"
    rfs("pack", "-m", meta, "-s", f"dir://{tree.parent}/blocks", tree)
    return meta


@pytest.fixture(name="expected", scope="module")
def describe_tree(tree: Path) -> dict[str, dict[str, object]]:
    """Describe the tree."""
    expected = describe(tree)
    assert len(expected) > 2000
    return expected


def test_mounted(
    tmp_path: Path, tree: Path, meta: Path, expected: dict[str, dict[str, object]]
) -> None:
    with mounted(meta, tmp_path / "m") as mount:
        assert run_rsync_compare(mount.path, tree) == ""
        assert describe(mount.path) == expected


def test_unpacked(
    tmp_path: Path, tree: Path, meta: Path, expected: dict[str, dict[str, object]]
) -> None:
    out = tmp_path / "out"
    rfs("unpack", "-p", "-m", meta, out)
    assert run_rsync_compare(out, tree) == ""
    assert describe(out) == expected
    again = tmp_path / "again.fl"
    rfs("pack", "-m", again, "-s", f"dir://{tree.parent}/blocks", out)
    assert again.read_bytes() == meta.read_bytes()
