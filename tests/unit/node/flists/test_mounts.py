"""The services' name servers: copied without following links, and again after a new lease."""

from pathlib import Path

import pytest

from node.flists import mounts
from node.flists.model import CORE, FIRMWARE, WORKLOAD, Flist
from node.flists.mounts import (
    Sources,
    copy_resolv_conf,
    describe_mount,
    make_mount_point,
    point_to_firmware,
    unmount_everything,
    unmount_flist,
)
from node.model import NodeError
from node.nameservers import NameServers
from zinit.client.line import Client

FLIST = Flist(WORKLOAD, "tf-zos/development", "ab" * 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root file system, and write the node's own file beside it."""
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "resolv.conf").write_text("nameserver 10.0.0.1\n")
    return tmp_path / "root"


def test_a_link_is_replaced_and_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (root / "etc/resolv.conf").symlink_to(tmp_path / "victim")
    (root / "etc/.resolv.conf.zero-os").symlink_to(tmp_path / "victim")
    copy_resolv_conf(root, tmp_path / "resolv.conf")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (root / "etc/resolv.conf").is_symlink()
    assert (root / "etc/resolv.conf").read_text() == "nameserver 10.0.0.1\n"
    assert [path.name for path in (root / "etc").iterdir()] == ["resolv.conf"]


def test_a_folder_that_leads_out_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (root / "etc").rmdir()
    (root / "etc").symlink_to(tmp_path / "host")
    with pytest.raises(OSError, match="etc"):
        copy_resolv_conf(root, tmp_path / "resolv.conf")
    assert list((tmp_path / "host").iterdir()) == []


def test_the_nodes_own_folders_are_never_mounted_over(root: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for target in ("/run", str(tmp_path / "run"), "../run"):
        (root / "run").symlink_to(target)
        with pytest.raises(NodeError, match="/run is a link that leads out"):
            make_mount_point(root, "run")
        (root / "run").unlink()
    assert make_mount_point(root, "run").is_dir()
    (root / "var").symlink_to("run")
    assert make_mount_point(root, "var").is_dir()


def test_services_get_the_name_servers_of_a_new_lease(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "resolv.conf"
    copy_resolv_conf(root, source)
    servers = NameServers(root, source)
    (root / "etc/resolv.conf").write_text("a service's own\n")
    servers.follow()
    assert (root / "etc/resolv.conf").read_text() == "a service's own\n"
    source.write_text("nameserver 10.0.0.2\n")
    servers.follow()
    assert (root / "etc/resolv.conf").read_text() == "nameserver 10.0.0.2\n"
    (root / "etc/resolv.conf").unlink()
    (root / "etc").rmdir()
    source.write_text("nameserver 10.0.0.3\n")
    servers.follow()
    servers.follow()
    assert capsys.readouterr().out.count("cannot give the services the name servers") == 1


def test_the_mount_is_told_the_proxy() -> None:
    service = describe_mount(FLIST, Sources(("http://hub",), "http://10.0.0.9:3128"))
    assert service["env"] == {"ZOS_PROXY": "http://10.0.0.9:3128"}
    assert "--store http://hub/blocks" in str(service["exec"])
    assert "env" not in describe_mount(FLIST, Sources(("http://hub",)))


def test_the_mount_prefers_the_hub_that_is_named_first() -> None:
    text = str(describe_mount(FLIST, Sources(("http://near", "http://far")))["exec"])
    assert "--in-order --store http://near/blocks --store http://far/blocks /" in text


def test_only_the_workload_may_have_setuid_programs_and_devices() -> None:
    sources = Sources(("http://hub",))
    assert "--allow-suid --allow-dev" in str(describe_mount(FLIST, sources)["exec"])
    assert "--allow" not in str(describe_mount(Flist(CORE, "core", "cd" * 32), sources)["exec"])


class NoServices(Client):
    """A zinit without services."""

    def list(self) -> dict[str, str]:
        return {}


def test_the_kernel_looks_for_firmware_in_no_flist_that_is_not_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "path"
    monkeypatch.setattr(mounts, "FIRMWARE_PATH", path)
    old, new = (Flist(FIRMWARE, "firmware", digit * 64, home=tmp_path) for digit in "ab")
    for flist in (old, new):
        (flist.lower / "usr/lib/firmware").mkdir(parents=True)
        point_to_firmware(flist)
    unmount_flist(NoServices(), old)
    assert path.read_text() == str(new.lower / "usr/lib/firmware")
    path.write_text(f"{path.read_text()}\n")  # as the kernel shows it
    unmount_flist(NoServices(), new)
    assert path.read_text() == "\0"


def test_what_was_being_fetched_goes_with_the_flists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or bring-up could not start again."""
    monkeypatch.setattr(mounts, "SERVICES", tmp_path / "zinit")
    (tmp_path / "flists/ab/lower").mkdir(parents=True)
    (tmp_path / "flists/.12.fl").write_bytes(b"half of it")
    unmount_everything(NoServices(), tmp_path / "flists")
    assert list((tmp_path / "flists").iterdir()) == []
