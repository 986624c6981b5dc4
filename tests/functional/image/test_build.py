"""A release from cached packages: reproducible, complete, and its errors."""

import json
import os
import stat
from pathlib import Path

import pytest

from common.debian import fetch
from common.debian.archive import open_archive
from common.debian.fetch import fetch_locked
from common.debian.pool import GoneError
from common.debian.programs import LOADER
from common.debian.resolve import ResolveError
from common.run import run
from image import cli
from image.errors import ImageError
from image.formats.cpio import Member
from image.lock.model import ReleaseLock
from image.model import Release
from image.parts.kernel import find_kernel
from image.recipe import plan
from image.release import build
from image.release.build import build_release
from image.release.listing import read_initramfs
from tests.functional.image.conftest import FAST, KEY
from tests.helpers.needs import need_tool

pytestmark = pytest.mark.timeout(900)  # the first build on a machine fetches packages


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in `folder`."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_unchanged_release_is_neither_opened_nor_written(
    release: Release, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "open_archive", lambda _path: pytest.fail("this is slow"))
    before = {path.name: path.stat().st_mtime_ns for path in release.folder.iterdir()}
    again = build_release(release.folder, flist_keys=keys, progress=print, level=FAST)
    assert again.reused
    assert again.files == release.files
    assert {path.name: path.stat().st_mtime_ns for path in release.folder.iterdir()} == before


def test_a_damaged_release_is_built_again(release: Release, keys: Path, tmp_path: Path) -> None:
    for name, data in contents(release.folder).items():
        (tmp_path / name).write_bytes(data[:-1] if name == "vmlinuz" else data)
    again = build_release(tmp_path, flist_keys=keys, progress=print, level=FAST)
    assert not again.reused
    assert contents(tmp_path) == contents(release.folder)


def test_damaged_caches_do_not_reach_a_release(
    release: Release, keys: Path, caches: Path, tmp_path: Path
) -> None:
    layers = list((caches / "image" / "layers").iterdir())
    assert len(layers) >= 3
    for path in layers:
        data, facts = path.read_bytes(), path.stat()
        path.write_bytes(data[:-50] + b"DUST" + data[-46:])
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    again = build_release(tmp_path, flist_keys=keys, progress=print, level=FAST)
    assert not again.reused
    assert contents(tmp_path) == contents(release.folder)


def test_other_keys_give_another_release(release: Release, tmp_path: Path) -> None:
    other = build_release(tmp_path, progress=print, level=FAST)
    assert other.version != release.version
    assert other.files["vmlinuz"] == release.files["vmlinuz"]
    assert other.files["initramfs.zst"] != release.files["initramfs.zst"]


def test_a_node_has_what_it_needs(members: dict[str, Member], release: Release) -> None:
    base = f"usr/lib/modules/{release.kernel}"
    for name in (
        "init",
        "usr/bin/zos",
        "usr/bin/zinit",
        "usr/bin/rfs",
        "usr/bin/python3.13",
        "usr/lib/python3.13/os.pyc",
        "usr/lib/zero-os/zinit/boot.py",
        "usr/lib/zero-os/zinit/__pycache__/boot.cpython-313.pyc",
        "usr/lib/zero-os/yaml/__init__.pyc",
        LOADER,
        f"{base}/modules.dep.bin",
        f"{base}/modules.alias.bin",
        f"{base}/kernel/fs/overlayfs/overlay.ko.xz",
        f"{base}/kernel/drivers/net/virtio_net.ko.xz",
        f"{base}/kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko.xz",
        f"{base}/kernel/drivers/nvme/host/nvme.ko.xz",
    ):
        assert name in members, name
    assert members["init"].content.startswith(b"#!/usr/bin/python3 -IS\n")
    assert stat.S_IMODE(members["init"].mode) == 0o755
    assert members["etc/zero-os/keys/flist.pub"].content == f"{KEY}\n".encode()
    assert b"ID=zero-os\n" in members["etc/os-release"].content
    assert release.version.encode() in members["etc/os-release"].content
    identity = json.loads((release.folder / "manifest.json").read_bytes())["identity"]
    assert f"BUILD_ID={identity}\n".encode() in members["etc/os-release"].content
    assert members["etc/ssl/certs/ca-certificates.crt"].content.count(b"BEGIN CERT") > 100


def test_links_and_devices(members: dict[str, Member]) -> None:
    links = {name: m.content for name, m in members.items() if stat.S_ISLNK(m.mode)}
    assert links["bin"] == b"usr/bin"
    assert links["lib64"] == b"usr/lib64"
    assert links["usr/bin/python3"] == b"python3.13"
    assert links["usr/sbin/modprobe"] == b"../bin/kmod"
    for name, number in (("console", (5, 1)), ("null", (1, 3)), ("urandom", (1, 9))):
        assert members[f"dev/{name}"].device == number
        assert stat.S_ISCHR(members[f"dev/{name}"].mode)


def test_a_node_has_nothing_unneeded(members: dict[str, Member]) -> None:
    for name in members:
        assert not name.startswith(("boot/", "usr/share/", "var/lib/dpkg", "var/cache/apt"))
        assert "/drivers/gpu/" not in name
        assert "/sound/" not in name
        assert not name.startswith("usr/lib/python3.13/test/")
        assert "libfuse" not in name
        assert "mfusepy" not in name
    shells = {"usr/bin/sh", "usr/bin/bash", "usr/bin/dash", "usr/bin/busybox"}
    assert not shells & set(members)
    assert not [n for n in members if n.startswith("usr/lib/python3.13/") and n.endswith(".py")]


def test_all_files_belong_to_root_and_have_one_time(members: dict[str, Member]) -> None:
    assert {(m.uid, m.gid) for m in members.values()} == {(0, 0)}
    assert len({m.mtime for m in members.values()}) == 1
    assert not [m.name for m in members.values() if m.mode & 0o6000]


def test_standard_tools_list_all_of_the_initramfs(
    release: Release, members: dict[str, Member]
) -> None:
    for tool in ("cpio", "zstd"):
        need_tool(tool)
    command = 'zstd -dc "$1" | while cpio -t 2>/dev/null; do :; done'
    path = release.folder / "initramfs.zst"
    listed = run(["sh", "-c", command, "sh", path], timeout_s=60).decode().splitlines()
    assert sorted(set(listed)) == sorted(members)


def test_the_kernel_is_the_packages_kernel(release: Release, lock: ReleaseLock) -> None:
    with open_archive(fetch_locked(lock.debian)) as archive:
        assert find_kernel(archive) == release.kernel
        path = f"boot/vmlinuz-{release.kernel}"
        assert archive.owner(path).name == f"linux-image-{release.kernel}"


def test_an_output_folder_that_can_not_be_written(caches: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="cannot write to") as caught:
        build_release(tmp_path / "file" / "out", progress=print)
    assert caught.value.hint


def test_an_invalid_key_file_is_reported_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("not a key\n")
    with pytest.raises(ImageError, match="line 1"):
        build_release(tmp_path / "out", flist_keys=tmp_path / "keys", progress=print)
    assert not (tmp_path / "out").exists()


def test_packages_that_can_not_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("MIRROR", "SNAPSHOT"):
        monkeypatch.setattr(fetch, name, "http://127.0.0.1:1")
    with pytest.raises(
        GoneError, match=r"cannot fetch .* locked with SHA-256 .* refused"
    ) as caught:
        build_release(tmp_path / "out", progress=print)
    assert "zos image update" in (caught.value.hint or "")
    with pytest.raises(ResolveError, match="apt-config: not found"):
        build_release(tmp_path / "out", progress=print, allow_unlocked=True)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command(release: Release, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "build_release", lambda *_, **__: release)
        assert cli.main(["build", "--json", "--flist-key", str(keys)], "zos image") == 0
        assert f'"version": "{release.version}"' in capsys.readouterr().out
        assert cli.main(["build"], "zos image") == 0
    said = capsys.readouterr()
    assert "MB" in said.out
    assert "accepts no flist" in said.err


def test_what_init_needs_is_unpacked_first_and_a_mark_last(release: Release) -> None:
    """Where memory ends before all is unpacked, /init can still say so."""
    members = read_initramfs(release.folder)
    at = {member.name: number for number, member in enumerate(members)}
    needed = ("init", "usr/bin/python3.13", "usr/lib64/ld-linux-x86-64.so.2")
    others = ("usr/lib/modules", f"{plan.PROJECT}/pyroute2")
    assert max(at[name] for name in needed) < min(at[name] for name in others)
    assert members[-1].name == plan.LAST_FILE
    assert f'last_file="/{plan.LAST_FILE}"' in members[at["init"]].content.decode()
