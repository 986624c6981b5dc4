"""`pack` and `sign` check the service files of the root file system that they take."""

from pathlib import Path

import pytest

from tests.helpers.flist.mount import rfs

GOOD = "exec: redis-server --port 0\noneshot: true\nafter: [network]\nuser: redis\n"
BAD = "exec: sleep 1\n# a comment\noneshot: 'true'\n"
MISTAKE = "warning: etc/zinit/bad.yaml:3: error: expected true or false"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a root file system with a good service, which needs one of a node, and a bad one."""
    folder = tmp_path / "tree/etc/zinit"
    folder.mkdir(parents=True)
    (folder / "good.yaml").write_text(GOOD)
    (folder / "bad.yaml").write_text(BAD)
    (folder / "link.yaml").symlink_to("/dev/zero")
    return tmp_path / "tree"


def test_pack_warns_and_strict_refuses(tree: Path, tmp_path: Path) -> None:
    meta, store = tmp_path / "a.fl", f"dir://{tmp_path}/blocks"
    done = rfs("pack", "--strict", "-m", meta, "-s", store, tree, check=False)
    assert done.returncode == 1 and "1 mistakes in etc/zinit" in done.stderr
    assert not meta.exists()
    done = rfs("pack", "-m", meta, "-s", store, tree)
    assert [line for line in done.stderr.splitlines() if "warning" in line] == [MISTAKE]
    (tree / "etc/zinit/bad.yaml").write_text(GOOD)
    done = rfs("pack", "--strict", "-m", meta, "-s", store, tree)
    assert "warning" not in done.stderr


def test_sign_warns_and_strict_refuses(tree: Path, tmp_path: Path) -> None:
    meta, key = tmp_path / "a.fl", tmp_path / "k"
    rfs("pack", "-m", meta, "-s", f"dir://{tmp_path}/blocks", tree)
    rfs("keygen", key)
    words = ("sign", "-m", meta, "-k", key, "-n", "me/a")
    done = rfs(*words, "--strict", check=False)
    assert done.returncode == 1 and MISTAKE in done.stderr
    assert not (tmp_path / "a.fl.sig").exists()
    assert MISTAKE in rfs(*words).stderr
    assert (tmp_path / "a.fl.sig").exists()
    for block in (tmp_path / "blocks").glob("*/*"):
        block.unlink()
    assert "warning: cannot check etc/zinit" in rfs(*words).stderr


def test_a_service_of_the_node_itself_is_named(tree: Path, tmp_path: Path) -> None:
    (tree / "etc/zinit/network.yaml").write_text("exec: 'true'\n")
    done = rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    assert "etc/zinit/network.yaml: warning: a node has a service of that name" in done.stderr


def test_a_tree_without_services_or_with_a_link_is_not_checked(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/etc").symlink_to("/etc")
    done = rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "tree")
    assert "warning" not in done.stderr
