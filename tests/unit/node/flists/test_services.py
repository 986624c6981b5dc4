"""The services of a flist: read without following links, installed to run inside it."""

import re
from pathlib import Path

import pytest

from node.flists.services import (
    find_installed,
    install_services,
    override_text,
    read_services,
    remove_service,
    sort_out,
)
from node.model import NodeError
from tests.helpers.checkout import TOP
from zinit.files.folder import Folder
from zinit.files.reading import parse_service
from zinit.files.service import KEYS

EXAMPLES = re.findall(r"```yaml\n(.*?)```", (TOP / "docs/zinit-services.md").read_text(), re.DOTALL)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root file system with one service."""
    folder = tmp_path / "root" / "etc" / "zinit"
    folder.mkdir(parents=True)
    (folder / "redis.yaml").write_text("exec: redis-server\nenv:\n  PORT: 0x10\n")
    return tmp_path / "root"


def install(root: Path, target: Path) -> Folder:
    """Install the services of `root` in `target`; return that as zinit sees it."""
    install_services(read_services(root), target, override_text(root, "rootfs"))
    return Folder(str(target), lambda _: None)


def test_a_service_is_installed_with_its_root(root: Path, tmp_path: Path) -> None:
    service = install(root, tmp_path).load("redis")
    assert (service.exec, service.env, service.root) == (
        "redis-server",
        {"PORT": "0x10"},
        str(root),
    )


def test_a_file_is_handed_over_byte_for_byte(root: Path, tmp_path: Path) -> None:
    data = b"# with a comment\nexec: 'a'\r\nenv: {X: \xff}\n"
    (root / "etc/zinit/odd.yaml").write_bytes(data)
    install(root, tmp_path)
    assert (tmp_path / "odd.yaml").read_bytes() == data


def test_a_flist_cannot_choose_another_root(root: Path, tmp_path: Path) -> None:
    (root / "etc/zinit/redis.yaml").write_text("exec: redis-server\nroot: /\n")
    (root / "etc/zinit/redis.override").write_text("root: /\n")
    assert install(root, tmp_path).load("redis").root == str(root)


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_of_the_reference_means_the_same_on_a_node(
    text: str, root: Path, tmp_path: Path
) -> None:
    (root / "etc/zinit/example.yaml").write_text(text)
    got = install(root, tmp_path).load("example")
    wanted, _ = parse_service("example", text)
    assert got.after == (*wanted.after, "rootfs")
    assert got.differing(wanted) == {"root", "after"}


def test_the_examples_have_every_key() -> None:
    keys = {key for text in EXAMPLES for key in re.findall(r"^(\w+):", text, re.MULTILINE)}
    assert keys == {row[0].partition(".")[0] for row in KEYS}


def test_links_are_ignored(root: Path) -> None:
    (root / "etc/zinit/link.yaml").symlink_to("/etc/passwd")
    assert list(read_services(root)) == ["redis"]


def test_a_huge_file_is_cut_where_zinit_refuses_it(root: Path, tmp_path: Path) -> None:
    with open(root / "etc/zinit/huge.yaml", "wb") as stream:
        stream.truncate(1 << 40)
    folder = install(root, tmp_path)
    assert [service.name for service in folder.load_all()] == ["redis"]
    assert "longer than 1048576 bytes" in folder.refused["huge"]


def test_a_flist_without_services_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="etc/zinit"):
        read_services(tmp_path)


def test_services_depend_on_the_mount_that_they_run_from(root: Path, tmp_path: Path) -> None:
    (root / "etc/zinit/b.yaml").write_text("exec: b\nafter: [redis]\n")
    services = install(root, tmp_path).load_all()
    assert [one.after for one in services] == [("redis", "rootfs"), ("rootfs",)]


def test_installed_services_are_found_again_and_removed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "network.yaml").write_text("exec: zos node network\n")
    (tmp_path / "other.override").write_text("log: none\n")
    (tmp_path / "link.override").symlink_to("/etc/passwd")
    (root / "etc/zinit/broken.yaml").write_text("exec: [\n")
    install(root, tmp_path)
    names = find_installed(tmp_path, root)
    assert names == ["broken", "redis"]
    for name in names:
        remove_service(tmp_path, name)
    left = sorted(path.name for path in tmp_path.iterdir() if path != root)
    assert left == ["link.override", "network.yaml", "other.override"]


def test_an_override_elsewhere_is_not_a_flists(root: Path, tmp_path: Path) -> None:
    install_services({"a": b"exec: a\n"}, tmp_path, override_text(root / "deep", "rootfs"))
    install_services({"b": b"exec: b\n"}, tmp_path, override_text(Path("/elsewhere"), "rootfs"))
    for name, text in {"c": "[", "d": "- root", "e": f"root: {root}/../x"}.items():
        (tmp_path / f"{name}.override").write_text(text)
    assert find_installed(tmp_path, root) == ["a"]


def test_names_of_core_services_are_cores_alone() -> None:
    services = dict.fromkeys(("core-api", "redis", "flist-1", "network", "x" * 250), b"")
    allowed, refused = sort_out(services, is_core=False, taken={"network"})
    assert list(allowed) == ["redis"]
    assert refused == {
        "core-api": "names that begin with core- are Core-0's alone",
        "flist-1": "the node itself has a service of that name",
        "network": "the node itself has a service of that name",
        "x" * 250: "its name is too long",
    }
    allowed, refused = sort_out(services, is_core=True, taken=set())
    assert list(allowed) == ["core-api"]
    assert refused["redis"] == "names that begin with core- are all that Core-0 may have"
