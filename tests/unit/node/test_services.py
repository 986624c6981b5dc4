"""The services of a flist: read without following links, installed to run inside it."""

from pathlib import Path

import pytest
import yaml

from node.model import NodeError
from node.services import find_installed, install_services, read_services, with_dependency


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root file system with one service."""
    folder = tmp_path / "root" / "etc" / "zinit"
    folder.mkdir(parents=True)
    (folder / "redis.yaml").write_text("exec: redis-server\nenv:\n  PORT: 0x10\n")
    return tmp_path / "root"


def test_a_service_is_installed_with_its_root(root: Path, tmp_path: Path) -> None:
    assert install_services(read_services(root), root, tmp_path, set()) == ["redis"]
    service = yaml.safe_load((tmp_path / "redis.yaml").read_text())
    assert service == {"exec": "redis-server", "env": {"PORT": "0x10"}, "root": str(root)}


def test_a_flist_cannot_choose_another_root(root: Path, tmp_path: Path) -> None:
    (root / "etc/zinit/redis.yaml").write_text("exec: redis-server\nroot: /\n")
    install_services(read_services(root), root, tmp_path, set())
    assert yaml.safe_load((tmp_path / "redis.yaml").read_text())["root"] == str(root)


def test_links_are_ignored(root: Path) -> None:
    (root / "etc/zinit/link.yaml").symlink_to("/etc/passwd")
    assert list(read_services(root)) == ["redis"]


def test_the_nodes_own_services_cannot_be_replaced(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="cannot start redis"):
        install_services(read_services(root), root, tmp_path, {"network", "redis"})
    assert not (tmp_path / "redis.yaml").exists()


@pytest.mark.parametrize("text", ["- a list", "just text", "a: [", "a: b: c"])
def test_a_file_that_is_not_a_mapping_is_named(root: Path, text: str) -> None:
    (root / "etc/zinit/bad.yaml").write_text(text)
    with pytest.raises(NodeError, match=r"bad\.yaml"):
        read_services(root)


def test_a_flist_without_services_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="etc/zinit"):
        read_services(tmp_path)


def test_services_depend_on_the_mount_that_they_run_from(root: Path) -> None:
    services = with_dependency({"a": {}, "b": {"after": ["a"]}, "c": {"after": "x"}}, "rootfs")
    assert services == {
        "a": {"after": ["rootfs"]},
        "b": {"after": ["a", "rootfs"]},
        "c": {"after": "x"},
    }


def test_installed_services_are_found_again(root: Path, tmp_path: Path) -> None:
    (tmp_path / "network.yaml").write_text("exec: zos node network\n")
    (tmp_path / "broken.yaml").write_text("exec: [\n")
    install_services(read_services(root), root, tmp_path, {"network"})
    assert find_installed(root, tmp_path) == ["redis"]
